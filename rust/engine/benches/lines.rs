//! Reads a line of a file that is in the page cache.

mod support;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;

use criterion::{Criterion, criterion_group, criterion_main};
use falco_plugin_engine::event::EventBatch;
use falco_plugin_engine::source::clock::DEFAULT_TIMEOUT;
use falco_plugin_engine::source::context::Context;
use falco_plugin_engine::source::lines::{LinesInstance, Options, Source, Start};

/// Enough lines that the time to open the file does not matter.
const LINES: usize = 50_000;

fn lines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lines: of a file");
    for (name, line, timestamp) in [
        ("300 B", support::LINE, None),
        ("300 B with their time", support::LINE, Some("/time")),
        ("1.9 KB", support::AUDIT, None),
    ] {
        let path = written(line).unwrap();
        let mut instance = open(&path, timestamp);
        let mut batch = EventBatch::with_defaults();
        group.bench_function(name, |bencher| {
            support::measure_event(bencher, || {
                batch.clear();
                instance.next_batch(&mut batch).unwrap_or_else(|_| {
                    instance = open(&path, timestamp);
                    0
                })
            });
        });
        fs::remove_file(path).unwrap();
    }
    group.finish();
}

fn written(line: &[u8]) -> std::io::Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("falco-plugin-lines-{}", process::id()));
    let mut file = BufWriter::new(File::create(&path)?);
    for _ in 0..LINES {
        file.write_all(line)?;
        file.write_all(b"\n")?;
    }
    file.flush()?;
    Ok(path)
}

fn open(path: &Path, timestamp: Option<&str>) -> LinesInstance {
    let options = Options {
        separator: b"\n".to_vec(),
        timestamp: timestamp.map(str::to_owned),
        follow: false,
        start: Start::Offset(0),
        timeout: DEFAULT_TIMEOUT,
    };
    LinesInstance::new(
        Source::Path(path.into()),
        "lines".into(),
        options,
        Context::new(),
        Box::new(|_| {}),
    )
    .unwrap()
}

criterion_group! {
    name = benches;
    config = support::criterion();
    targets = lines
}
criterion_main!(benches);
