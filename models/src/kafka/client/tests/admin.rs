use super::{Broker, Node, addresses, cluster};
use crate::id::{BrokerId, Topic};
use crate::kafka::client::{AdminClient, AdminSpec};
use crate::kafka::protocol::{ErrorCode, Request};
use crate::process::Loss;
use crate::testing::Harness;
use crate::time::Span;

fn admin() -> Harness<Node> {
    let spec = AdminSpec {
        bootstrap: addresses(),
        zookeeper: [].into(),
        brokers_expected: 2,
        topics: vec![(Topic(0), 3, 2), (Topic(1), 1, 2)],
        start_after: Span::from_ms(5),
    };
    cluster(Node::Admin(Box::new(AdminClient::new(spec))), 0)
}

fn is_done(harness: &Harness<Node>) -> bool {
    let Node::Admin(admin) = harness.process(0) else { panic!("process 0 is the client") };
    admin.is_done()
}

fn creations(harness: &Harness<Node>, broker: u16) -> usize {
    harness.broker(broker).seen.iter().filter(|(_, _, r)| matches!(r, Request::CreateTopics { .. })).count()
}

#[test]
fn topics_are_created_once_all_brokers_are_there_and_done_means_led() {
    let mut harness = admin();
    for broker in [1, 2] {
        harness.broker_mut(broker).brokers = vec![BrokerId(1)];
    }
    harness.run_for(Span::from_secs(5));
    assert_eq!((creations(&harness, 1), creations(&harness, 2)), (0, 0));
    for broker in [1, 2] {
        harness.broker_mut(broker).brokers = vec![BrokerId(1), BrokerId(2)];
    }
    harness.broker_mut(2).create_script = [ErrorCode::NotController, ErrorCode::TopicAlreadyExists].into();
    harness.run_for(Span::from_secs(1));
    assert_eq!(creations(&harness, 2), 2);
    let leaders = harness.broker(2).leaders.clone();
    harness.broker_mut(1).leaders = leaders;
    harness.run_for(Span::from_secs(1));
    assert!(is_done(&harness));
    let asked = harness.broker(1).seen.len() + harness.broker(2).seen.len();
    harness.run_for(Span::from_secs(600));
    assert_eq!(harness.broker(1).seen.len() + harness.broker(2).seen.len(), asked, "then it is idle");
    harness.crash(0, Loss::Memory);
    assert!(!is_done(&harness));
    harness.restart(0);
    harness.run_for(Span::from_secs(1));
    assert!(is_done(&harness));
}

#[test]
fn a_partition_without_leader_keeps_the_admin_client_waiting() {
    let mut harness = admin();
    harness.run_for(Span::from_ms(50));
    for broker in [1, 2] {
        harness.elect(None, 1);
        let orphan = harness.broker(broker).leaders.clone();
        harness.broker_mut(3 - broker).leaders.extend(orphan);
    }
    harness.elect(None, 1);
    harness.run_for(Span::from_secs(5));
    assert!(!is_done(&harness));
    let all = harness.broker(2).leaders.clone();
    harness.broker_mut(1).leaders = all;
    harness.elect(Some(1), 2);
    harness.run_for(Span::from_secs(1));
    assert!(is_done(&harness));
}
