//! How instants and durations of a graph go over the wire: RFC 3339, and milliseconds.

pub(super) mod instant {
    //! An instant as its text.

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use sunaba_task::Timestamp;

    pub(in super::super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(at)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

pub(super) mod maybe_instant {
    //! The same, where there may be none.

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use sunaba_task::Timestamp;

    pub(in super::super) fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(|at| at.to_string()).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

pub(super) mod millis {
    //! A duration in milliseconds, down to whole microseconds.

    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_micros() as f64 / 1e3)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let ms = f64::deserialize(deserializer)?;
        // What is no time is none; what is too long is not shown.
        Ok(Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default())
    }
}
