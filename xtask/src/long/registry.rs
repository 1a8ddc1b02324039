//! The check `registry`: a real registry takes the images, Istio's own fetcher gets the modules out of it, and the plugin's
//! image does what an init container does.

mod outcome;
mod served;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::flags::PushFlags;
use crate::long::registry::outcome::{expect, refuse, same, succeed, wrong};
use crate::long::registry::served::{Login, Served};
use crate::plugin::Machine;
use crate::programs::{Set, go};
use crate::{dist, foreign, images, programs, run};

/// The user of the plugin's image.
const USER: u32 = 999;

/// A folder that goes at the end. Other users have to reach it, so it isn't in the checkout.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("serin-registry-{}", std::process::id()));
        fs::create_dir(&path).map_err(Failure::file("create", &path))?;
        let folder = Self(path);
        open_to(&folder.0, 0o755)?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn run() -> Result<(), Failure> {
    dist::all(None)?;
    let registry = programs::folder(Set::Registry)?.join("registry");
    let reader = reader()?;
    let folder = Folder::new()?;
    for login in [None, Some(Login::new(&folder.0)?)] {
        let served = Served::start(&registry, &folder.0, login.as_ref())?;
        let pins = push(&served, login.as_ref())?;
        modules(&reader, &folder.0, &pins, login.as_ref())?;
        if login.is_some() {
            strangers(&reader, &folder.0, &served, &pins)?;
            continue;
        }
        sums(&reader, &folder.0, &pins)?;
        artifacts(&reader, &folder.0, &served)?;
        for machine in Machine::ALL {
            plugin(&reader, &folder.0, &pins, machine)?;
        }
    }
    Ok(())
}

/// Builds `tests/wasm-fetch`.
fn reader() -> Result<PathBuf, Failure> {
    let to = run::target().join("wasm-fetch");
    let mut build = go();
    build
        .current_dir(run::root().join("tests/wasm-fetch"))
        .args(["build", "-mod=readonly", "-o"])
        .arg(&to)
        .arg(".");
    run::step("building tests/wasm-fetch", || {
        run::run_slow(
            &mut build,
            "go build of wasm-fetch",
            "check that the Go module proxy (`go env GOPROXY`) can be reached",
        )
    })?;
    Ok(to)
}

/// Pushes twice, the second time to find everything there; returns `name:tag@digest` of the plugin's image, the module's and
/// that of the one with cookies.
fn push(served: &Served, login: Option<&Login>) -> Result<Vec<String>, Failure> {
    let pushed = || images::pushed(&flags(served), login.map(Login::folder));
    let (first, second) = (pushed()?, pushed()?);
    expect("the second push", &second, &first)?;
    let pins: Vec<_> = first.lines().map(str::to_owned).collect();
    expect(
        "the number of images",
        &pins.len().to_string(),
        &images::FILES.len().to_string(),
    )?;
    Ok(pins)
}

fn flags(served: &Served) -> PushFlags {
    PushFlags {
        registry: format!("{}/serin", served.address()),
        tag: None,
        plain_http: true,
        insecure: false,
        overwrite: false,
    }
}

/// Each module by tag, by digest and by both is the file in `target/dist`.
fn modules(
    reader: &Path,
    folder: &Path,
    pins: &[String],
    login: Option<&Login>,
) -> Result<(), Failure> {
    for (pin, file) in module_pins(pins) {
        let (name, digest) = pin.split_once('@').unwrap_or_default();
        let repository = name.rsplit_once(':').unwrap_or_default().0;
        for url in [name, &format!("{repository}@{digest}"), pin] {
            let mut command = Command::new(reader);
            command.arg("module");
            if let Some(login) = login {
                command.arg("--pull-secret").arg(login.file());
            }
            let to = folder.join("module.wasm");
            succeed(command.arg(format!("oci://{url}")).arg(&to))?;
            same(url, &to, &dist::folder().join(file))?;
        }
    }
    Ok(())
}

fn module_pins(pins: &[String]) -> impl Iterator<Item = (&str, &'static str)> {
    let files = ["serin-filter.wasm", "serin-filter-cookies.wasm"];
    pins.iter().skip(1).map(String::as_str).zip(files)
}

/// Without a login there is neither a push nor a pull.
fn strangers(
    reader: &Path,
    folder: &Path,
    served: &Served,
    pins: &[String],
) -> Result<(), Failure> {
    let nobody = folder.join("nobody");
    fs::create_dir_all(&nobody).map_err(Failure::file("create", &nobody))?;
    if let Ok(pushed) = images::pushed(&flags(served), Some(&nobody)) {
        return Err(wrong("a push without a login", &pushed, "an error"));
    }
    for (pin, _) in module_pins(pins) {
        let mut command = Command::new(reader);
        command
            .args(["module", &format!("oci://{pin}")])
            .arg(folder.join("none.wasm"));
        refuse(&mut command, "UNAUTHORIZED")?;
    }
    Ok(())
}

/// `sha256` beside an `oci://` URL is the manifest's digest, not the module's sum (istio 1.29.1 `pkg/wasm/cache.go`,
/// `getOrFetch`).
fn sums(reader: &Path, folder: &Path, pins: &[String]) -> Result<(), Failure> {
    for (pin, file) in module_pins(pins) {
        let (name, digest) = pin.split_once("@sha256:").unwrap_or_default();
        let url = format!("oci://{name}");
        let to = folder.join("module.wasm");
        let with = |sum: &str| {
            let mut command = Command::new(reader);
            command.args(["module", "--sha256", sum, &url]).arg(&to);
            command
        };
        succeed(&mut with(digest))?;
        refuse(
            &mut with(&dist::sum(&dist::folder().join(file))?),
            "which does not match",
        )?;
    }
    Ok(())
}

/// A module that is the only layer of an artifact is refused, and one beside a configuration is not.
fn artifacts(reader: &Path, folder: &Path, served: &Served) -> Result<(), Failure> {
    let module = dist::folder().join("serin-filter.wasm");
    for layers in 1..=2 {
        let name = format!("{}/artifact:{layers}", served.address());
        let mut push = Command::new(reader);
        push.args(["artifact", "--layers", &layers.to_string()])
            .arg(&module)
            .arg(&name);
        succeed(&mut push)?;
        let mut pull = Command::new(reader);
        pull.args(["module", &format!("oci://{name}")])
            .arg(folder.join("artifact.wasm"));
        if layers == 1 {
            refuse(&mut pull, "number of layers must be 2 but got 1")?;
        } else {
            succeed(&mut pull)?;
        }
    }
    Ok(())
}

/// The image for `machine`, unpacked: what it starts installs itself as the image's user, or says why it can't.
fn plugin(reader: &Path, folder: &Path, pins: &[String], machine: Machine) -> Result<(), Failure> {
    let image = folder.join(machine.architecture());
    let volume = folder.join(format!("plugins-{}", machine.architecture()));
    for (path, mode) in [(&image, 0o755), (&volume, 0o777)] {
        fs::create_dir(path).map_err(Failure::file("create", path))?;
        open_to(path, mode)?;
    }
    let platform = machine.platform();
    let mut unpack = Command::new(reader);
    unpack
        .args(["unpack", "--platform", platform])
        .args(pins.first())
        .arg(&image);
    let said = succeed(&mut unpack)?;
    expect(
        "the image's platform, user and entry point",
        said.trim(),
        &format!("{platform} {USER} /serin"),
    )?;
    let program = image.join("serin");
    let shipped = dist::folder().join(machine.file());
    same("the image's program", &program, &shipped)?;
    let mut words = Vec::new();
    if machine != Machine::here()? {
        let Some(emulator) = foreign::emulator(machine) else {
            return Ok(());
        };
        words.push(emulator.to_owned());
    }
    words.extend([program.display().to_string(), "install".to_owned()]);
    let installed = volume.join("serin");
    for _ in 0..2 {
        succeed(&mut install(&words, &volume)?)?;
        same("the installed program", &installed, &shipped)?;
    }
    let mode = fs::metadata(&installed).map_err(Failure::file("look at", &installed))?;
    expect(
        "its mode",
        &format!("{:o}", mode.permissions().mode() & 0o7777),
        "755",
    )?;
    refuse(&mut install(&words, &volume.join("none"))?, "doesn't exist")?;
    open_to(&volume, 0o755)?;
    refuse(
        &mut install(&words, &volume)?,
        "expected a folder that user 999 may write",
    )?;
    for (options, expected) in [("ro", "without readOnly"), ("size=64k", "expected space")] {
        refuse(&mut mounted(&words, &volume, options), expected)?;
    }
    Ok(())
}

/// `serin install` as the image's user.
fn install(words: &[String], volume: &Path) -> Result<Command, Failure> {
    let mut words = words.iter();
    let program = words.next().map(String::as_str).unwrap_or_default();
    let mut command = Command::new(program);
    command.args(words).arg(volume).current_dir("/");
    if !rustix::process::geteuid().is_root() {
        return Err(wrong(
            "this user",
            "no root",
            "root, who can become the image's user",
        ));
    }
    command.uid(USER).gid(USER);
    Ok(command)
}

/// As [`install`], onto a file system of its own with these options.
fn mounted(words: &[String], volume: &Path, options: &str) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c"])
        .arg(
            "mount -t tmpfs -o mode=777,$1 none \"$2\" && v=$2 && shift 2 && \
             exec setpriv --reuid 999 --regid 999 --clear-groups \"$@\" \"$v\"",
        )
        .args(["sh", options])
        .arg(volume)
        .args(words);
    command
}

fn open_to(path: &Path, mode: u32) -> Result<(), Failure> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Failure::file("open", path))
}
