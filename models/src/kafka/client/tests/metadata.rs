use super::{P0, partitions};
use crate::id::BrokerId;
use crate::kafka::client::metadata::Metadata;
use crate::kafka::protocol::{ErrorCode, MetadataResponse, PartitionMetadata};
use crate::time::{Instant, Span};

fn told(leader: i32, leader_epoch: i32) -> MetadataResponse {
    let partition =
        PartitionMetadata { partition: P0, error: ErrorCode::None, leader: Some(BrokerId(leader)), leader_epoch };
    MetadataResponse {
        controller: None,
        brokers: vec![BrokerId(1), BrokerId(2), BrokerId(3)],
        partitions: vec![partition],
        unknown_topics: Vec::new(),
    }
}

#[test]
fn leader_epochs_only_move_forward() {
    let mut metadata = Metadata::new(partitions(1), false, Span::from_ms(100), Span::from_secs(300));
    let mut check = |leader, epoch, expected: (i32, i32), changed: &[u32]| {
        assert_eq!(metadata.update(Instant::ZERO, &told(leader, epoch)), changed, "{leader} in epoch {epoch}");
        assert_eq!(metadata.leader(0), Some(BrokerId(expected.0)));
        assert_eq!(metadata.leadership(0).epoch, expected.1);
    };
    check(1, 5, (1, 5), &[0]);
    check(2, 4, (1, 5), &[]);
    check(1, 5, (1, 5), &[]);
    check(3, 6, (3, 6), &[0]);
    assert!(!metadata.saw_epoch(0, 6) && metadata.saw_epoch(0, 7));
    assert_eq!(metadata.leader(0), None, "an epoch is known whose leader is not");
    assert!(metadata.update(Instant::ZERO, &told(3, 6)).is_empty());
    assert_eq!(metadata.leader(0), None);
    assert_eq!(metadata.update(Instant::ZERO, &told(2, 7)), [0]);
    assert_eq!(metadata.leader(0), Some(BrokerId(2)));
}

#[test]
fn a_refresh_is_due_when_asked_for_or_old_and_never_within_the_backoff() {
    let (backoff, age) = (Span::from_ms(100), Span::from_secs(300));
    let mut metadata = Metadata::new(partitions(1), false, backoff, age);
    let now = Instant::from_ns(7_000_000_000);
    assert_eq!(metadata.due(), Instant::ZERO);
    metadata.asked();
    metadata.update(now, &told(1, 0));
    assert_eq!(metadata.due(), now + age);
    metadata.request_update();
    assert_eq!(metadata.due(), now + backoff);
    let nobody = MetadataResponse { brokers: Vec::new(), ..told(2, 9) };
    metadata.asked();
    assert!(metadata.update(now + age, &nobody).is_empty(), "an answer without brokers is no answer");
    assert_eq!((metadata.leader(0), metadata.due()), (Some(BrokerId(1)), now + age + backoff));
}
