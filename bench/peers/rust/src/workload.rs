//! Makes the payloads of the workloads, which `bench/workloads.py` describes.

use std::fs;

use falco_plugin::anyhow::{Error, bail};

const LARGEST_EVENT: u32 = 1204 << 10;

pub enum Workload {
    Empty,
    Lines { lines: Vec<&'static [u8]>, at: usize },
    Random { data: &'static [u8], state: u32 },
}

impl Workload {
    /// Makes a workload from its name, such as `lines:FILE`.
    pub fn new(name: &str) -> Result<Self, Error> {
        if name == "empty" {
            return Ok(Self::Empty);
        }
        let (kind, file) = name.split_once(':').unwrap_or((name, ""));
        // Leaked, so that payloads are `'static` and pass through the channel without a copy.
        let data: &'static [u8] = Box::leak(fs::read(file)?.into_boxed_slice());
        match kind {
            "lines" => Ok(Self::Lines {
                lines: data
                    .strip_suffix(b"\n")
                    .unwrap_or(data)
                    .split(|byte| *byte == b'\n')
                    .collect(),
                at: 0,
            }),
            "random" => Ok(Self::Random { data, state: 1 }),
            _ => bail!("unknown workload: {name}"),
        }
    }
}

impl Iterator for Workload {
    type Item = &'static [u8];

    #[inline]
    fn next(&mut self) -> Option<&'static [u8]> {
        Some(match self {
            Self::Empty => b"",
            Self::Lines { lines, at } => {
                let line = lines[*at];
                *at += 1;
                if *at == lines.len() {
                    *at = 0;
                }
                line
            }
            Self::Random { data, state } => {
                *state ^= *state << 13;
                *state ^= *state >> 17;
                *state ^= *state << 5;
                &data[..(1024 + *state % (LARGEST_EVENT - 1024)) as usize]
            }
        })
    }
}
