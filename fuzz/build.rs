//! Libraries that are built with a sanitizer look for its runtime in the program that loads them.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["__asan_*", "__sanitizer_*"] {
        println!("cargo::rustc-link-arg-bin=calls=-Wl,--export-dynamic-symbol={name}");
    }
}
