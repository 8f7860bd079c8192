//! Extracts fields from JSON, for the first time on an event.

mod support;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use falco_plugin_engine::event::{Event, PLUGIN_EVENT_TYPE};
use falco_plugin_engine::extract::{Argument, ArgumentMode, Cache, Extractor, Field, FieldType, JsonReader, Reader};

/// Pointers into an audit event, from its beginning to its end.
const TWENTY: [&str; 20] = [
    "/auditID",
    "/stage",
    "/requestURI",
    "/verb",
    "/user/username",
    "/user/uid",
    "/user/groups/0",
    "/sourceIPs/0",
    "/userAgent",
    "/objectRef/resource",
    "/objectRef/namespace",
    "/objectRef/name",
    "/responseStatus/code",
    "/requestObject/metadata/labels/app",
    "/requestObject/spec/serviceAccountName",
    "/requestObject/spec/containers/0/name",
    "/requestObject/spec/containers/0/image",
    "/requestObject/spec/containers/0/ports/0/containerPort",
    "/requestReceivedTimestamp",
    "/annotations/authorization.k8s.io~1decision",
];

fn field(pattern: &&str) -> Field {
    Field {
        name: "a.field".into(),
        kind: FieldType::String,
        index: ArgumentMode::None,
        key: ArgumentMode::None,
        reader: Reader::Json(Arc::new(JsonReader::new(pattern, FieldType::String).unwrap())),
    }
}

fn first_time(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("extract: json");
    for (name, payload, patterns) in [
        ("one near the front of 300 B", support::LINE, &["/level"][..]),
        ("one at the end of 300 B", support::LINE, &["/trace_id"]),
        ("twenty of 1.9 KB", support::AUDIT, &TWENTY),
    ] {
        let extractor = Extractor::new(patterns.iter().map(field).collect(), Box::new(|_| ()));
        let mut cache = Cache::default();
        let mut number = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                number += 1;
                let event = Event {
                    generation: 1,
                    number,
                    timestamp: 0,
                    source: b"bench",
                    code: PLUGIN_EVENT_TYPE,
                    thread_id: -1,
                    raw: payload,
                    data: black_box(payload),
                };
                for field in 0..patterns.len() {
                    let values = extractor.extract(&mut cache, &event, field, &Argument::default(), |_, _| {});
                    assert!(!black_box(values).is_empty());
                }
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = support::criterion();
    targets = first_time
}
criterion_main!(benches);
