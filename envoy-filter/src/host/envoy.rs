//! The ABI, proxy-wasm 0.2.1, with Envoy on the other side: all of this crate's unsafe code.
//!
//! Entry points have names of their own and are renamed after linking (`cargo xtask wasm`), so that
//! only what is used is exported: each callback that Envoy finds costs a crossing per request.
#![allow(unsafe_code)]

mod calls;

use std::cell::RefCell;
use std::ptr;

use calls::{
    proxy_add_header_map_value, proxy_define_metric, proxy_get_buffer_bytes,
    proxy_get_header_map_pairs, proxy_get_header_map_value, proxy_get_property,
    proxy_get_shared_data, proxy_increment_metric, proxy_log, proxy_record_metric,
    proxy_remove_header_map_value, proxy_replace_header_map_value, proxy_set_effective_context,
    proxy_set_property, proxy_set_shared_data, proxy_set_tick_period_milliseconds, random_get,
};

use super::{Counter, Host, Metric};
use crate::filter::Filter;

/// The ABI's numbers that are used here.
const OK: u32 = 0;
const REQUEST_HEADERS: u32 = 0;
const RESPONSE_HEADERS: u32 = 2;
const PLUGIN_CONFIGURATION: u32 = 7;
const WARN: u32 = 3;
const CONTINUE: u32 = 0;
const TRUE: u32 = 1;

/// Whether this is the module that issues cookies.
const COOKIES: bool = cfg!(feature = "cookies");

thread_local! {
    static FILTER: RefCell<Filter<COOKIES>> = RefCell::new(Filter::new());
    /// Where the host puts what it answers: one buffer, used again by every call.
    static ANSWER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Envoy calls nothing while it is being called, so the filter is always there.
fn with_filter(act: impl FnOnce(&mut Filter<COOKIES>)) {
    FILTER.with(|filter| {
        if let Ok(mut filter) = filter.try_borrow_mut() {
            act(&mut filter);
        }
    });
}

/// Above this a buffer is given back after use. Header maps are smaller, configurations may not be.
const KEPT_BYTES: usize = 64 * 1024;

/// Says which ABI this is. It must stay 0.2.1: above it, Envoy does not choose the route again after a
/// header was written.
#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

/// Called by the host for space for an answer, within one of the calls below. Null if there is none.
#[unsafe(no_mangle)]
extern "C" fn serin_on_memory_allocate(size: usize) -> *mut u8 {
    ANSWER.with(|answer| {
        let Ok(mut answer) = answer.try_borrow_mut() else {
            return ptr::null_mut();
        };
        answer.clear();
        match answer.try_reserve(size) {
            Ok(()) => answer.as_mut_ptr(),
            Err(_) => ptr::null_mut(),
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn serin_on_vm_start(_root: u32, _size: usize) -> u32 {
    with_filter(|filter| filter.started(&mut Envoy));
    TRUE
}

/// Always true: false would make Envoy refuse the whole update, even with FAIL_OPEN.
#[unsafe(no_mangle)]
extern "C" fn serin_on_configure(root: u32, size: usize) -> u32 {
    with_filter(|filter| filter.configure(&mut Envoy, root, size));
    ANSWER.with(|answer| {
        if let Ok(mut answer) = answer.try_borrow_mut()
            && answer.capacity() > KEPT_BYTES
        {
            *answer = Vec::new();
        }
    });
    TRUE
}

/// A request's context has the one as parent that its plugin was configured in; that one has none.
#[unsafe(no_mangle)]
extern "C" fn serin_on_context_create(_context: u32, parent: u32) {
    if parent == 0 {
        return;
    }
    with_filter(|filter| filter.begun(&mut Envoy, parent));
}

/// The timer of a configuration.
#[unsafe(no_mangle)]
extern "C" fn serin_on_tick(root: u32) {
    with_filter(|filter| filter.tick(&mut Envoy, root));
}

#[unsafe(no_mangle)]
extern "C" fn serin_on_request_headers(context: u32, _headers: u32, _end_of_stream: u32) -> u32 {
    with_filter(|filter| filter.request(&mut Envoy, context));
    CONTINUE
}

#[cfg(feature = "cookies")]
#[unsafe(no_mangle)]
extern "C" fn serin_on_response_headers(context: u32, _headers: u32, _end_of_stream: u32) -> u32 {
    with_filter(|filter| filter.response(&mut Envoy, context));
    CONTINUE
}

#[cfg(feature = "cookies")]
#[unsafe(no_mangle)]
extern "C" fn serin_on_delete(context: u32) {
    with_filter(|filter| filter.deleted(context));
}

/// The proxy that loaded this module. Has no state; it is a type so that the borrow of an answer ends
/// before the next call.
struct Envoy;

impl Envoy {
    /// Makes `call`, which has the host write an answer, and gives that out.
    // What is used of `self` is its borrow.
    #[allow(clippy::unused_self)]
    fn answer(&mut self, call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Option<&[u8]> {
        let mut data = ptr::null_mut();
        let mut size = 0;
        if call(&raw mut data, &raw mut size) != OK {
            return None;
        }
        if data.is_null() || size == 0 {
            return Some(&[]);
        }
        // Sound: the host wrote `size` bytes to where `serin_on_memory_allocate` pointed it to, into
        // a buffer with that capacity. Only the next call changes that, and the borrow of `self` ends
        // before it.
        Some(unsafe { std::slice::from_raw_parts(data, size) })
    }
}

impl Host for Envoy {
    fn request_headers(&mut self) -> Option<&[u8]> {
        self.answer(|data, size| unsafe { proxy_get_header_map_pairs(REQUEST_HEADERS, data, size) })
    }

    fn has_request_header(&mut self, name: &[u8]) -> bool {
        let found = self.answer(|data, size| unsafe {
            proxy_get_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len(), data, size)
        });
        found.is_some()
    }

    fn set_request_header(&mut self, name: &str, value: &[u8]) -> bool {
        let status = unsafe {
            proxy_replace_header_map_value(
                REQUEST_HEADERS,
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
            )
        };
        status == OK
    }

    fn remove_request_header(&mut self, name: &[u8]) -> bool {
        unsafe { proxy_remove_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len()) == OK }
    }

    fn add_response_header(&mut self, name: &str, value: &str) -> bool {
        let status = unsafe {
            proxy_add_header_map_value(
                RESPONSE_HEADERS,
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
            )
        };
        status == OK
    }

    fn random(&mut self, bytes: &mut [u8]) -> bool {
        unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) == OK }
    }

    fn plugin_configuration(&mut self, size: usize) -> Option<&[u8]> {
        self.answer(|data, written| unsafe {
            proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, size, data, written)
        })
    }

    fn property(&mut self, path: &str, value: &mut Vec<u8>) -> bool {
        value.clear();
        let found = self.answer(|data, size| unsafe {
            proxy_get_property(path.as_ptr(), path.len(), data, size)
        });
        let Some(found) = found else {
            return false;
        };
        value.extend_from_slice(found);
        true
    }

    fn set_property(&mut self, path: &str, value: &[u8]) -> bool {
        unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) == OK }
    }

    fn shared(&mut self, key: &str, value: &mut Vec<u8>) -> u32 {
        value.clear();
        let mut version = 0;
        let at = &raw mut version;
        let found = self.answer(|data, size| unsafe {
            proxy_get_shared_data(key.as_ptr(), key.len(), data, size, at)
        });
        let Some(found) = found else {
            return 0;
        };
        value.extend_from_slice(found);
        version
    }

    fn set_shared(&mut self, key: &str, value: &[u8], version: u32) -> bool {
        unsafe {
            proxy_set_shared_data(
                key.as_ptr(),
                key.len(),
                value.as_ptr(),
                value.len(),
                version,
            ) == OK
        }
    }

    fn count(&mut self, counter: Counter) {
        // Counting happens at configure only, so the number is not kept.
        if let Some(id) = self.define(Metric::Counter, counter.name()) {
            self.increment(id, 1);
        }
    }

    fn define(&mut self, kind: Metric, name: &str) -> Option<u32> {
        let mut id = 0;
        let status =
            unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) };
        (status == OK).then_some(id)
    }

    fn increment(&mut self, metric: u32, by: u32) {
        unsafe { proxy_increment_metric(metric, i64::from(by)) };
    }

    fn record(&mut self, metric: u32, value: u32) {
        unsafe { proxy_record_metric(metric, u64::from(value)) };
    }

    fn tick_every(&mut self, milliseconds: u32) {
        unsafe { proxy_set_tick_period_milliseconds(milliseconds) };
    }

    fn act_as(&mut self, context: u32) -> bool {
        unsafe { proxy_set_effective_context(context) == OK }
    }

    fn warn(&mut self, line: &str) {
        unsafe {
            proxy_log(WARN, line.as_ptr(), line.len());
        }
    }
}
