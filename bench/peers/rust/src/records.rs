//! Makes the payloads of the workload `json:FILE`, which `bench/workloads.py` describes.

use std::fs;

use falco_plugin::anyhow::Error;
use serde::{Deserialize, Serialize};

/// A log line.
#[derive(Deserialize, Serialize)]
struct Record {
    time: String,
    level: String,
    message: String,
    http: Http,
    k8s: Kubernetes,
    trace_id: String,
}

#[derive(Deserialize, Serialize)]
struct Http {
    method: String,
    path: String,
    status: u16,
    ms: f64,
}

#[derive(Deserialize, Serialize)]
struct Kubernetes {
    namespace: String,
    pod: String,
    container: String,
}

/// Encodes one record after another.
pub struct Records {
    records: Vec<Record>,
    at: usize,
}

impl Records {
    /// Decodes the lines of a file.
    pub fn new(file: &str) -> Result<Self, Error> {
        let text = fs::read_to_string(file)?;
        let records = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(Self { records, at: 0 })
    }
}

impl Iterator for Records {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let record = &self.records[self.at];
        self.at = (self.at + 1) % self.records.len();
        serde_json::to_vec(record).ok()
    }
}
