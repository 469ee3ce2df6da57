//! Rates of what could be an attack: one bucket for each.

use crate::bucket::{Bucket, Rate};
use crate::error::{Abuse, Ended, Refusal};
use crate::limits::{self, Limits};

#[derive(Debug)]
pub(crate) struct Guard {
    rapid_reset: (Bucket, Rate),
    made_you_reset: Bucket,
    reset_flood: Bucket,
    large_heads: (Bucket, Rate),
    stream_flood: Bucket,
    settings: Bucket,
    pings: Bucket,
    empty: Bucket,
    churn: Bucket,
}

impl Guard {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            rapid_reset: (Bucket::default(), limits.rapid_reset()),
            made_you_reset: Bucket::default(),
            reset_flood: Bucket::default(),
            large_heads: (Bucket::default(), limits.large_heads()),
            stream_flood: Bucket::default(),
            settings: Bucket::default(),
            pings: Bucket::default(),
            empty: Bucket::default(),
            churn: Bucket::default(),
        }
    }

    /// Counts one; an error when it was one too many. Only what has a rate is counted.
    #[inline]
    pub(crate) fn count(&mut self, abuse: Abuse, now: u64) -> Result<(), Ended> {
        let Some((bucket, rate)) = self.bucket(abuse) else { return Ok(()) };
        if bucket.take(rate, now) { Ok(()) } else { Err(abuse.into()) }
    }

    /// An exchange went to its end. One that was refused is no sign of an honest peer's work.
    #[inline]
    pub(crate) fn exchange_ended(&mut self, refusal: Option<Refusal>) {
        let (bucket, rate) = &mut self.rapid_reset;
        bucket.earn(*rate, 1);
        if refusal.is_none() {
            let (bucket, rate) = &mut self.large_heads;
            bucket.earn(*rate, 1);
        }
    }

    /// We have sent a head, or more than a dribble of data: the peer may well have something to say to that.
    #[inline]
    pub(crate) fn sent(&mut self) {
        self.pings.earn(limits::PING_FLOOD, 1);
        self.churn.earn(limits::CHURN, limits::CHURN_EARNED);
    }

    fn bucket(&mut self, abuse: Abuse) -> Option<(&mut Bucket, Rate)> {
        Some(match abuse {
            Abuse::RapidReset => (&mut self.rapid_reset.0, self.rapid_reset.1),
            Abuse::MadeYouReset => (&mut self.made_you_reset, limits::MADE_YOU_RESET),
            Abuse::ResetFlood => (&mut self.reset_flood, limits::RESET_FLOOD),
            Abuse::LargeHeads => (&mut self.large_heads.0, self.large_heads.1),
            Abuse::StreamFlood => (&mut self.stream_flood, limits::STREAM_FLOOD),
            Abuse::SettingsFlood => (&mut self.settings, limits::SETTINGS_FLOOD),
            Abuse::PingFlood => (&mut self.pings, limits::PING_FLOOD),
            Abuse::EmptyFrames => (&mut self.empty, limits::EMPTY_FRAMES),
            Abuse::Churn => (&mut self.churn, limits::CHURN),
            Abuse::ContinuationFlood | Abuse::AckQueue | Abuse::HpackBomb => return None,
        })
    }
}
