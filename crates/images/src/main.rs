//! `images write` and `images push`: what `cargo xtask dist --all` and `cargo xtask push` start.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use images::image::{self, About};
use images::layout::Layout;
use images::push::{Access, Registry};
use oci_spec::image::Arch;

/// The images' names, in a registry and with `.oci.tar` in a folder.
const PLUGIN: &str = "serin-plugin";
const FILTER: &str = "serin-filter";
const COOKIES: &str = "serin-filter-cookies";

/// Writes and pushes Serin's container images.
#[derive(Parser)]
enum Arguments {
    /// Writes the images of the files that `cargo xtask dist` has left in a folder.
    #[command(after_help = "Example: images write --folder target/dist --version 0.1.0")]
    Write(Write),
    /// Pushes a folder's images and prints each as a manifest pins it: name, tag and digest.
    #[command(
        after_help = "Example: images push --folder target/dist --tag 0.1.0 registry.example.com/team"
    )]
    Push(Push),
}

#[derive(clap::Args)]
struct Write {
    /// Where the files are, and the images go.
    #[arg(long)]
    folder: PathBuf,
    /// The release.
    #[arg(long)]
    version: String,
    /// The address of the sources.
    #[arg(long)]
    source: Option<String>,
    /// When they were made: seconds since 1970.
    #[arg(long)]
    created: Option<i64>,
    /// A licence text for the plugin's image; may be repeated.
    #[arg(long, value_name = "FILE")]
    plugin_licence: Vec<PathBuf>,
    /// A licence text for the modules' images; may be repeated.
    #[arg(long, value_name = "FILE")]
    module_licence: Vec<PathBuf>,
}

#[derive(clap::Args)]
struct Push {
    /// Where the images are.
    #[arg(long)]
    folder: PathBuf,
    /// The tag.
    #[arg(long)]
    tag: String,
    /// Speak http.
    #[arg(long)]
    plain_http: bool,
    /// Accept any certificate.
    #[arg(long)]
    insecure: bool,
    /// Push a tag that names another image there.
    #[arg(long)]
    overwrite: bool,
    /// A registry, or a folder in one.
    registry: String,
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let outcome = match Arguments::parse() {
        Arguments::Write(flags) => write(&flags),
        Arguments::Push(flags) => push(&flags),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(flags: &Write) -> Outcome<()> {
    let about = |title, description| -> Outcome<About> {
        Ok(About {
            title,
            description,
            version: flags.version.clone(),
            source: flags.source.clone(),
            created: flags
                .created
                .map(jiff::Timestamp::from_second)
                .transpose()?,
        })
    };
    let save = |name: &str, image: &Layout| -> Outcome<()> {
        let path = file(&flags.folder, name);
        image.write(&path, &flags.version)?;
        eprintln!("    {} {}", path.display(), image.top().digest());
        Ok(())
    };
    let own = |name: &str| read(&flags.folder.join(name));
    let programs = [
        (Arch::Amd64, own("serin-linux-amd64")?),
        (Arch::ARM64, own("serin-linux-arm64")?),
    ];
    let said = about(
        "Serin",
        "The traffic-router plugin of Argo Rollouts for Istio; `install DIR` copies it for the controller",
    )?;
    let licences = texts(&flags.plugin_licence)?;
    save(PLUGIN, &image::plugin(&said, &programs, &licences)?)?;
    let licences = texts(&flags.module_licence)?;
    for (name, description) in [
        (FILTER, "The filter of Serin for Istio's WasmPlugin"),
        (
            COOKIES,
            "The filter of Serin for Istio's WasmPlugin, which issues cookies too",
        ),
    ] {
        let module = own(&format!("{name}.wasm"))?;
        let said = about("Serin's filter", description)?;
        save(name, &image::module(&said, &module, &licences)?)?;
    }
    Ok(())
}

fn push(flags: &Push) -> Outcome<()> {
    let access = Access {
        plain_http: flags.plain_http,
        insecure: flags.insecure,
        overwrite: flags.overwrite,
    };
    let registry = Registry::new(&flags.registry, access);
    let images = [PLUGIN, FILTER, COOKIES].map(|name| {
        let image = Layout::read(&file(&flags.folder, name))?;
        Ok((name, image))
    });
    // All of them are read before the first is pushed.
    let images = images.into_iter().collect::<Outcome<Vec<_>>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for (name, image) in &images {
        eprintln!("    {name}");
        let pushed = registry.push(name, &flags.tag, image, |line| eprintln!("      {line}"));
        println!("{}", runtime.block_on(pushed)?);
    }
    Ok(())
}

/// The file of the image `name`.
fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.oci.tar"))
}

fn texts(paths: &[PathBuf]) -> Outcome<Vec<(String, Vec<u8>)>> {
    let text = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok((name.into_owned(), read(path)?))
    };
    paths.iter().map(text).collect()
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()).into())
}
