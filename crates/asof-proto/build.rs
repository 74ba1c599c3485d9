//! Makes the Rust code of the messages and services in `proto/`, in two rounds: messages and clients as they are, then
//! servers whose large answers are bytes that were encoded already. No other program is needed: the compiler is a library.

use std::error::Error;
use std::path::{Path, PathBuf};

/// Every file, below [`ROOT`].
const FILES: [&str; 5] = [
    "asof/v1/asof.proto",
    "feast/serving/ServingService.proto",
    "feast/types/EntityKey.proto",
    "feast/types/Field.proto",
    "feast/types/Value.proto",
];

const ROOT: &str = "proto";

/// The answers that servers give as bytes.
const ENCODED: [&str; 2] = [".asof.v1.GetOnlineFeaturesResponse", ".feast.serving.GetOnlineFeaturesResponse"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={ROOT}");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let mut compiler = protox::Compiler::new([ROOT])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    let described = compiler.file_descriptor_set();

    // What servers tell about themselves needs no comments.
    compiler.include_source_info(false);
    std::fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;

    let builder = |folder: &str| -> Result<tonic_prost_build::Builder, std::io::Error> {
        let folder = out.join(folder);
        std::fs::create_dir_all(&folder)?;
        let builder = tonic_prost_build::configure().out_dir(Path::new(&folder));
        Ok(builder.build_transport(false).emit_rerun_if_changed(false))
    };
    // Maps in order, so that equal messages have equal bytes.
    builder("messages")?.build_server(false).btree_map(".").compile_fds(described.clone())?;

    let mut servers = builder("servers")?.build_client(false);
    for package in [".asof.v1", ".feast.serving", ".feast.types"] {
        servers = servers.extern_path(package, format!("crate::messages{}", package.replace('.', "::")));
    }
    for answer in ENCODED {
        servers = servers.extern_path(answer, "crate::encoded::Encoded");
    }
    servers.compile_fds(described)?;
    Ok(())
}
