//! The metrics of a plugin, copied as Falco copies them.

use std::slice;

use falco_plugin_api::{
    ss_plugin_metric, ss_plugin_metric_type_SS_PLUGIN_METRIC_TYPE_MONOTONIC as MONOTONIC,
    ss_plugin_metric_type_SS_PLUGIN_METRIC_TYPE_NON_MONOTONIC as NON_MONOTONIC,
    ss_plugin_metric_value_type_SS_PLUGIN_METRIC_VALUE_TYPE_D as DOUBLE,
    ss_plugin_metric_value_type_SS_PLUGIN_METRIC_VALUE_TYPE_F as FLOAT,
    ss_plugin_metric_value_type_SS_PLUGIN_METRIC_VALUE_TYPE_I as INT,
    ss_plugin_metric_value_type_SS_PLUGIN_METRIC_VALUE_TYPE_S32 as S32,
    ss_plugin_metric_value_type_SS_PLUGIN_METRIC_VALUE_TYPE_S64 as S64,
    ss_plugin_metric_value_type_SS_PLUGIN_METRIC_VALUE_TYPE_U32 as U32,
    ss_plugin_metric_value_type_SS_PLUGIN_METRIC_VALUE_TYPE_U64 as U64,
};
use serde::{Serialize, Serializer};

use crate::abi::error::Error;
use crate::abi::library::UNSET_NUMBER;
use crate::abi::plugin::Plugin;
use crate::abi::strings::text;

/// The most metrics that a plugin may have. A larger number is one that the plugin did not set.
const MOST_METRICS: u32 = 1 << 16;

/// A metric of a plugin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metric {
    /// The name without that of the plugin.
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    pub value: Number,
}

/// Whether a metric can decrease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Counter,
    Gauge,
}

/// The value of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Unsigned(value) => serializer.serialize_u64(value),
            Self::Signed(value) => serializer.serialize_i64(value),
            Self::Float(value) => serializer.serialize_f64(value),
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsigned(value) => value.fmt(f),
            Self::Signed(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
        }
    }
}

impl Plugin<'_> {
    /// Returns the metrics of the plugin; none if it does not export the function.
    pub fn metrics(&self) -> Result<Vec<Metric>, Error> {
        self.get_metrics()?.iter().map(copy).collect()
    }

    /// Gets the metrics as [`Self::metrics`], and returns only their number.
    pub fn count_metrics(&self) -> Result<usize, Error> {
        self.get_metrics().map(<[_]>::len)
    }

    /// Returns the metrics in the plugin's memory, which is valid until this thread's next call.
    fn get_metrics(&self) -> Result<&[ss_plugin_metric], Error> {
        let Some(get) = self.library.functions.get_metrics else {
            return Ok(&[]);
        };
        let mut count = UNSET_NUMBER;
        // SAFETY: the state is that of an initialised plugin. The plugin API allows this call at any time, and `count` is
        // writable.
        let first = unsafe { get(self.state, &raw mut count) };
        match count {
            0 => Ok(&[]),
            UNSET_NUMBER => Err(Error::Unset {
                function: "get_metrics",
                what: "num_metrics",
            }),
            count if count > MOST_METRICS => Err(Error::TooManyMetrics {
                count,
                most: MOST_METRICS,
            }),
            count if first.is_null() => Err(Error::NoMetrics(count)),
            // SAFETY: the plugin ensures that there are `count` metrics, which stay valid until this thread's next call.
            // The callers are done with them before that.
            count => Ok(unsafe { slice::from_raw_parts(first, count as usize) }),
        }
    }
}

/// Copies a metric, and checks what Falco would not.
fn copy(metric: &ss_plugin_metric) -> Result<Metric, Error> {
    // SAFETY: a plugin's name is NULL or NUL-terminated, and valid as the metric is.
    let name = unsafe { text(metric.name) }.ok_or(Error::UnnamedMetric)?;
    let kind = match metric.type_ {
        MONOTONIC => Kind::Counter,
        NON_MONOTONIC => Kind::Gauge,
        code => return Err(Error::MetricType { name, code }),
    };
    // SAFETY: the type names the member that the plugin has set. All bits are valid in each of them.
    let value = unsafe {
        match metric.value_type {
            U32 => Number::Unsigned(metric.value.u32_.into()),
            U64 => Number::Unsigned(metric.value.u64_),
            S32 => Number::Signed(metric.value.s32.into()),
            S64 => Number::Signed(metric.value.s64),
            INT => Number::Signed(metric.value.i.into()),
            FLOAT => Number::Float(metric.value.f.into()),
            DOUBLE => Number::Float(metric.value.d),
            code => return Err(Error::MetricType { name, code }),
        }
    };
    Ok(Metric { name, kind, value })
}
