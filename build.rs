//! A scenario that is added or taken away makes the binary that carries them stale.

fn main() {
    println!("cargo:rerun-if-changed=scenarios");
}
