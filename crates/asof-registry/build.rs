//! Rebuilds when a migration is added: the macro that embeds them only sees files that are already there.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
