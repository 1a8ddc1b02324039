//! Files that can and can't be started where there is nothing beside them.

use object::elf::{DT_NULL, EM_386, PT_DYNAMIC, PT_LOAD};

use super::*;

/// Of an ELF file's header and of a program header (`Elf64_Ehdr`, `Elf64_Phdr`).
const HEADER: usize = 64;
const SEGMENT: usize = 56;

/// A little-endian program for `machine` with these segments: type and content.
fn program(machine: u16, segments: &[(u32, &[u8])]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend(2_u16.to_le_bytes());
    file.extend(machine.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    file.extend(0_u64.to_le_bytes());
    file.extend((HEADER as u64).to_le_bytes());
    file.extend([0; 12]);
    for half in [HEADER, SEGMENT, segments.len(), 0, 0, 0] {
        file.extend(u16::try_from(half).unwrap().to_le_bytes());
    }
    assert_eq!(file.len(), HEADER);
    let mut offset = HEADER + SEGMENT * segments.len();
    for (kind, content) in segments {
        file.extend(kind.to_le_bytes());
        file.extend(4_u32.to_le_bytes());
        let (at, size) = (offset as u64, content.len() as u64);
        for word in [at, at, at, size, size, 8] {
            file.extend(word.to_le_bytes());
        }
        offset += content.len();
    }
    for (_, content) in segments {
        file.extend(*content);
    }
    file
}

/// A dynamic section with one entry of this tag, and its end.
fn dynamic(tag: i64) -> Vec<u8> {
    let words = [tag, 8, DT_NULL, 0];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn a_static_program_is_none_of_this() {
    let relocated = dynamic(object::elf::DT_RELA);
    for segments in [
        &[(PT_LOAD, &b"code"[..])][..],
        // As of a static position-independent one.
        &[(PT_LOAD, b"code"), (PT_DYNAMIC, &relocated)],
    ] {
        for machine in Machine::ALL {
            assert_eq!(fault(machine, &program(machine.elf(), segments)), None);
        }
    }
}

#[test]
fn a_dynamic_program_is_refused() {
    let needed = dynamic(DT_NEEDED);
    let loader = b"/lib64/ld-linux-x86-64.so.2\0";
    for (segments, expected) in [
        (
            &[(PT_LOAD, &b"code"[..]), (PT_INTERP, loader)][..],
            Fault::Interpreter("/lib64/ld-linux-x86-64.so.2".to_owned()),
        ),
        (
            &[(PT_LOAD, b"code"), (PT_DYNAMIC, &needed)],
            Fault::Libraries,
        ),
    ] {
        let found = fault(Machine::Amd64, &program(EM_X86_64, segments));
        assert_eq!(found, Some(expected));
    }
}

#[test]
fn what_is_no_program_of_the_machine_is_refused() {
    let load = &[(PT_LOAD, &b"code"[..])];
    assert_eq!(
        fault(Machine::Arm64, &program(EM_X86_64, load)),
        Some(Fault::Machine {
            found: EM_X86_64,
            expected: EM_AARCH64
        })
    );
    assert!(fault(Machine::Amd64, &program(EM_386, load)).is_some());
    for other in [&b""[..], b"#!/bin/sh\n", b"\x7fELF"] {
        let found = fault(Machine::Amd64, other);
        assert!(matches!(found, Some(Fault::Unreadable(_))), "{found:?}");
    }
}

/// This test's own program is linked as cargo links by default.
#[test]
#[cfg(target_env = "gnu")]
fn a_build_with_glibc_is_refused() {
    let here = Machine::here().unwrap();
    let refused = check(here, &std::env::current_exe().unwrap()).unwrap_err();
    let fault = std::error::Error::source(&refused).unwrap().to_string();
    assert!(fault.contains("it is loaded by /lib"), "{fault}");
}
