//! Where reading begins: at the first look, so that what is stored fits into memory; later where it ended, unless the
//! stream is not what it was.

use std::time::Duration;

use tokio::time::Instant;

use super::Run;
use crate::broker::nats::api::ApiError;
use crate::broker::nats::health::Fault;
use crate::broker::nats::stream::Stream;
use crate::broker::{Event, Scope};
use crate::names::Offset;

/// How long the first look at what is stored may take.
const WARM_UP: Duration = Duration::from_secs(10);
/// What a message takes in memory beside its bytes in the stream; a stored one has headers and a subject too.
const BESIDE: u64 = 256;
impl Run {
    /// Where to read on, after it was told what the stream is.
    pub(super) async fn begin(&mut self, stream: Stream) -> Result<Offset, ApiError> {
        let Some((epoch, position)) = self.follower.place.now() else {
            let from = warm_from(&stream, self.follower.memory);
            self.warm_until = Some(Instant::now() + WARM_UP);
            let whole = from == stream.first;
            self.position(stream.epoch, Offset(from.0 - 1), whole, vec![])
                .await;
            return Ok(from);
        };
        let went_back = self.follower.place.has_gone_back();
        if stream.epoch == epoch && stream.last >= position && !went_back {
            if stream.first.0 > position.0 + 1 {
                // Everything between has gone unread: aged, or purged.
                let last = Offset(stream.first.0 - 1);
                let lost = self.lost(Scope::Partition(self.follower.partition));
                self.position(epoch, last, false, vec![lost]).await;
                return Ok(stream.first);
            }
            return Ok(Offset(position.0 + 1));
        }
        if self.seen.contains(&stream.epoch) {
            // It went back: positions that clients know will be given to other messages.
            let renewed = &self.follower.stream;
            let stream = renewed
                .renew_epoch(&self.follower.jetstream, &self.seen)
                .await?;
            self.position(stream.epoch, stream.last, false, vec![])
                .await;
            return Ok(Offset(stream.last.0 + 1));
        }
        if self.seen.iter().any(|seen| stream.follows(seen)) {
            // Another gateway has found that it went back.
            self.position(stream.epoch, stream.last, false, vec![])
                .await;
            return Ok(Offset(stream.last.0 + 1));
        }
        // It was made anew: all that is in it is new.
        self.position(stream.epoch, Offset(stream.first.0 - 1), true, vec![])
            .await;
        Ok(stream.first)
    }

    /// Ends the first look at what is stored, when it has come to the end or takes too long.
    pub(super) async fn warmed(&mut self, pending: u64) -> Result<(), ApiError> {
        let late = self.warm_until.is_some_and(|until| Instant::now() > until);
        if pending > 0 && !late {
            return Ok(());
        }
        let partition = self.follower.partition;
        if pending > 0 {
            tracing::warn!(
                pending,
                "what is stored could not be read in 10 s: it is read when it is asked for"
            );
            let jetstream = self.follower.jetstream.clone();
            let history = *self.follower.history.borrow();
            let stream = self.follower.stream.open(&jetstream, &history).await?;
            let lost = self.lost(Scope::Partition(partition));
            self.position(stream.epoch, stream.last, false, vec![lost])
                .await;
        }
        let kept = self.per_room;
        self.tell(Event::Trimmed { partition, kept }).await;
        if let Some(warm) = self.follower.warm.take() {
            let _ = warm.send(()); // who waited is gone
        }
        if pending > 0 {
            return Err(ApiError::new(
                Fault::Other,
                "reading goes on at the stream's end",
            ));
        }
        Ok(())
    }
}

/// Where to begin to read what is stored, so that it fits into memory.
fn warm_from(stream: &Stream, memory: u64) -> Offset {
    let each = stream.bytes / stream.messages.max(1) + BESIDE;
    let fit = memory / each;
    let last = stream.last.0;
    let from = match stream.messages <= fit {
        true => stream.first.0,
        // Positions between may be empty, so this is at most what fits.
        false => (last + 1).saturating_sub(fit).max(stream.first.0),
    };
    Offset(from.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Epoch;

    fn stream(first: u64, last: u64, bytes: u64) -> Stream {
        Stream {
            epoch: Epoch::random(),
            first: Offset(first),
            last: Offset(last),
            messages: last + 1 - first,
            bytes,
            per_room: 100,
            replicas: 1,
        }
    }

    #[test]
    fn reading_begins_where_the_rest_fits_into_memory() {
        let each = 100 + BESIDE;
        let hundred = stream(1001, 1100, 10_000);
        assert_eq!(warm_from(&hundred, 100 * each), Offset(1001));
        assert_eq!(warm_from(&hundred, 10 * each), Offset(1091));
        assert_eq!(warm_from(&hundred, 0), Offset(1101));
        assert_eq!(warm_from(&stream(1, 0, 0), 1000), Offset(1), "an empty one");
    }
}
