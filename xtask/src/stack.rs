//! `cargo xtask stack`: a program beside the whole real stack.

use std::ffi::OsString;
use std::process::Command;

use crate::e2e;
use crate::failure::Failure;
use crate::flags::StackFlags;
use crate::programs::Set;

pub(crate) fn run(flags: &StackFlags) -> Result<(), Failure> {
    let mut words = flags.command.iter().cloned();
    let shell = || std::env::var_os("SHELL").unwrap_or_else(|| OsString::from("sh"));
    let mut program = Command::new(words.next().unwrap_or_else(shell));
    program.args(words);
    let mut tools = vec![
        Set::Kubectl,
        Set::KubectlArgoRollouts,
        flags.istio.istioctl(),
    ];
    tools.extend(&flags.with);
    e2e::become_it(e2e::beside(flags.istio, &tools, &program)?)
}
