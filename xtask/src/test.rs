//! `cargo xtask test`: every test but the real stack.

use crate::failure::Failure;
use crate::flags::TestFlags;
use crate::programs::INSTALL_GO;
use crate::run::{self, cargo};
use crate::wasm::{self, Variant};
use crate::{analysis, browser, differential, dist, envoy, images};

pub(crate) fn run(flags: &TestFlags) -> Result<(), Failure> {
    run::need(
        "go",
        &["version"],
        "for tests/argo-host, which drives the plugin with Argo's own client",
        INSTALL_GO,
    )?;
    browser::ensure();
    let envoy = envoy::ensure()?;
    let module = wasm::build(Variant::Plain)?;
    let cookies = wasm::build(Variant::Cookies)?;
    let plugin = dist::unoptimized(None)?.join(dist::PLUGIN);
    if flags.cargo.is_empty() {
        analysis::templates()?;
        differential::embedded(&plugin)?;
        run::step("running the tests of the images' program", || {
            run::run(
                cargo()
                    .args(["test", "--manifest-path", images::MANIFEST, "--target-dir"])
                    .arg(run::target()),
                "run the failing test alone: `cargo test --manifest-path crates/images/Cargo.toml TEST`",
            )
        })?;
    }
    run::step("running the tests", || {
        let mut test = cargo();
        test.arg("test");
        test.env("SERIN_ENVOY", &envoy);
        test.env("SERIN_FILTER_WASM", &module);
        test.env("SERIN_FILTER_COOKIES_WASM", &cookies);
        test.env("SERIN_PLUGIN", &plugin);
        if flags.long {
            // Read by `no_change_blocks_the_way_back` of rollout-plugin.
            test.env("SERIN_WAY_BACK_CASES", "200000");
        }
        if flags.cargo.is_empty() {
            test.arg("--workspace");
        } else {
            test.args(&flags.cargo);
        }
        run::run(
            &mut test,
            "run the failing test alone: `cargo xtask test -- --package NAME TEST`",
        )
    })
}
