//! The Argo controller's container: a read-only root folder that holds what the official image and its deployment give the
//! controller and the plugin, and nothing else (argo-rollouts v1.10.1 `Dockerfile`, `manifests/base/argo-rollouts-deployment.yaml`).
//!
//! There is no C library, no `/etc`, no `/proc` and no `/dev`, so a program that needs one of them fails here first.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount, mount_bind, mount_remount};

use crate::error::Error;
use crate::program::Plan;
use crate::stack::api_server::API_SERVER;

/// The image's user (`USER 999`).
const USER: &str = "999";
/// The controller's file; this and what follows is inside of the root.
const CONTROLLER: &str = "bin/rollouts-controller";
/// The image's working folder.
const WORKING: &str = "home/argo-rollouts";
/// Where the controller copies its plugins to (argo-rollouts v1.10.1 `defaults.DefaultRolloutPluginFolder`): a volume.
const COPIES: &str = "home/argo-rollouts/plugin-bin";
/// The other volume that can be written to.
const TEMPORARY: &str = "tmp";
/// The user's volume with the plugin, as `manifests/components/plugin-file` names it.
const PLUGINS: &str = "plugins";
/// Where pods find their service account's token.
pub(crate) const ACCOUNT: &str = "var/run/secrets/kubernetes.io/serviceaccount";

/// The plugin's location in the ConfigMap, for the file that is mounted.
pub(crate) fn location(plugin: &Path) -> String {
    let name = plugin.file_name().unwrap_or_default().to_string_lossy();
    format!("file:///{PLUGINS}/{name}")
}

/// Makes the root in `folder`, and says how the controller is started in it with these arguments. The mounts end with the
/// harness's namespace.
pub(crate) fn controller(
    folder: &Path,
    controller: &Path,
    plugin: &Path,
    account: &Path,
    arguments: &[&str],
) -> Result<Plan, Error> {
    let root = folder.join("image");
    let plugins = Path::new(PLUGINS).join(plugin.file_name().unwrap_or_default());
    empty(&root, "mode=0755")?;
    bind_file(controller, &root.join(CONTROLLER))?;
    bind_file(plugin, &root.join(plugins))?;
    bind(account, &root.join(ACCOUNT))?;
    // As an `emptyDir` is.
    empty(&root.join(COPIES), "mode=0777")?;
    empty(&root.join(TEMPORARY), "mode=0777")?;
    read_only(&root)?;
    let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
    start(
        "argo-rollouts",
        folder,
        &root,
        CONTROLLER,
        WORKING,
        &arguments,
    )
}

/// A folder that a container sees at another place.
pub(crate) struct Mount {
    /// Where it is.
    pub(crate) from: PathBuf,
    /// Where the container sees it, without the leading slash.
    pub(crate) to: String,
    /// True if it can't be written there.
    pub(crate) read_only: bool,
}

/// An `emptyDir`, once.
pub(crate) fn volume(folder: &Path) -> Result<(), Error> {
    if folder.is_dir() {
        return Ok(());
    }
    empty(folder, "mode=0777")
}

/// Makes a container's read-only root with this program and these mounts, and says how it is started. A container has `/proc`.
pub(crate) fn container(
    name: &str,
    folder: &Path,
    root: &Path,
    program: &Path,
    mounts: &[Mount],
    arguments: &[String],
) -> Result<Plan, Error> {
    let file = program.file_name().unwrap_or_default();
    let inside = Path::new("bin").join(file);
    empty(root, "mode=0755")?;
    bind_file(program, &root.join(&inside))?;
    for mount in mounts {
        let place = root.join(&mount.to);
        if mount.read_only {
            bind(&mount.from, &place)?;
        } else {
            fs::create_dir_all(&place).map_err(Error::file("create", &place))?;
            mounted(&place, mount_bind(&mount.from, &place))?;
        }
    }
    for folder in ["proc", WORKING] {
        let place = root.join(folder);
        fs::create_dir_all(&place).map_err(Error::file("create", &place))?;
    }
    let proc = root.join("proc");
    mounted(&proc, mount_bind("/proc", &proc))?;
    read_only(root)?;
    start(
        name,
        folder,
        root,
        &inside.to_string_lossy(),
        WORKING,
        arguments,
    )
}

/// How the program `file` of the root folder is started in it, as the image's user.
fn start(
    name: &str,
    folder: &Path,
    root: &Path,
    file: &str,
    working: &str,
    arguments: &[String],
) -> Result<Plan, Error> {
    let mut words: Vec<String> = vec![
        // `allowPrivilegeEscalation: false`
        "--no-new-privs".to_owned(),
        "unshare".to_owned(),
        format!("--root={}", root.display()),
        format!("--wd=/{working}"),
    ];
    if is_mapped(&read("/proc/self/uid_map")?) {
        words.extend([format!("--setgid={USER}"), format!("--setuid={USER}")]);
    } else {
        eprintln!("    the controller runs as root: this user namespace has no user {USER}");
    }
    words.push(format!("/{file}"));
    words.extend(arguments.iter().cloned());
    let authority = API_SERVER.trim_start_matches("https://");
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    Ok(Plan {
        name: name.to_owned(),
        file: PathBuf::from("setpriv"),
        arguments: words,
        // No KUBECONFIG and no HOME.
        environment: vec![
            ("KUBERNETES_SERVICE_HOST".to_owned(), host.to_owned()),
            ("KUBERNETES_SERVICE_PORT".to_owned(), port.to_owned()),
        ],
        bare: true,
        folder: folder.to_path_buf(),
    })
}

/// An empty file system of its own at `folder`.
fn empty(folder: &Path, mode: &str) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    let mode = std::ffi::CString::new(mode).unwrap_or_default();
    mounted(
        folder,
        mount(
            "tmpfs",
            folder,
            "tmpfs",
            MountFlags::NOSUID | MountFlags::NODEV,
            mode.as_c_str(),
        ),
    )
}

/// Shows the file `from` at `to`, where it can't be written.
fn bind_file(from: &Path, to: &Path) -> Result<(), Error> {
    let parent = to.parent().unwrap_or(to);
    fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
    File::create(to).map_err(Error::file("create", to))?;
    mounted(to, mount_bind(from, to))?;
    read_only(to)
}

/// Shows the folder `from` at `to`, where it can't be written.
fn bind(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).map_err(Error::file("create", to))?;
    mounted(to, mount_bind(from, to))?;
    read_only(to)
}

fn read_only(path: &Path) -> Result<(), Error> {
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    mounted(path, mount_remount(path, flags, c""))
}

fn mounted(path: &Path, outcome: rustix::io::Result<()>) -> Result<(), Error> {
    outcome.map_err(|errno| Error::file("mount", path)(errno.into()))
}

fn read(path: &str) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::file("read", path))
}

/// True if the namespace with this map (`user_namespaces(7)`: first user inside, first outside, how many) has the user.
fn is_mapped(map: &str) -> bool {
    let user: u64 = USER.parse().unwrap_or_default();
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(first)), Some(Ok(_)), Some(Ok(many))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        (first..first.saturating_add(many)).contains(&user)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_looked_up_in_every_range() {
        assert!(is_mapped("         0          0 4294967295\n"));
        assert!(is_mapped("0 1000 1\n1 100000 65536\n"));
        assert!(!is_mapped("         0       1000          1\n"));
        assert!(!is_mapped(""));
    }

    #[test]
    fn the_plugins_location_is_inside_of_the_root() {
        let plugin = Path::new("target/dist/serin-linux-amd64");
        assert_eq!(location(plugin), "file:///plugins/serin-linux-amd64");
    }
}
