//! Exports the runtime of the sanitizer: libraries that are built with a sanitizer search for it in the loading
//! program.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["__asan_*", "__sanitizer_*"] {
        println!("cargo::rustc-link-arg-bin=calls=-Wl,--export-dynamic-symbol={name}");
    }
}
