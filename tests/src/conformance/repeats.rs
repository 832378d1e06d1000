//! Publishing again.

use linnet_gateway::broker::DeduplicationKey;

use super::Factory;
use super::driver::{Driver, at, number, read_number, room};

fn key(name: &str, publisher: &str, id: &str) -> Option<DeduplicationKey> {
    Some(DeduplicationKey::new(&room(name), publisher.as_bytes(), id))
}

/// A repeat is answered like the first and delivered once.
pub async fn the_same_key_again_is_a_repeat_of_the_first_and_no_second_message(
    factory: &impl Factory,
) {
    let mut driver = Driver::watching(factory, &["r"]).await;
    let first = driver.store(number("r", 1), key("r", "ann", "id")).await;
    let again = driver.store(number("r", 2), key("r", "ann", "id")).await;
    assert!(!first.duplicate && again.duplicate);
    assert_eq!(at(&again), at(&first));
    driver.store(number("r", 3), None).await;
    for n in [1, 3] {
        assert_eq!(read_number(&*driver.message("r").await), n);
    }
}

/// Whoever repeats may not have waited for the answer to the first.
pub async fn repeats_that_were_not_awaited_make_one_message_too(factory: &impl Factory) {
    let mut driver = Driver::watching(factory, &["r"]).await;
    let tokens = [1, 2, 3].map(|n| driver.publish(number("r", n), true, key("r", "ann", "id")));
    let mut receipts = Vec::new();
    for token in tokens {
        receipts.push(driver.receipt(token).await);
    }
    let firsts = receipts.iter().filter(|receipt| !receipt.duplicate);
    assert_eq!(firsts.count(), 1);
    assert!(receipts.iter().all(|one| at(one) == at(&receipts[0])));
    driver.store(number("r", 4), None).await;
    for n in [1, 4] {
        assert_eq!(read_number(&*driver.message("r").await), n);
    }
}

/// An id names a publish of its room only.
pub async fn the_same_id_in_another_room_is_another_message(factory: &impl Factory) {
    let mut driver = Driver::watching(factory, &["a", "b"]).await;
    for name in ["a", "b"] {
        let receipt = driver.store(number(name, 1), key(name, "ann", "id")).await;
        assert!(!receipt.duplicate, "in {name}");
        driver.message(name).await;
    }
}

/// An id names a publish of its publisher only.
pub async fn the_same_id_of_another_publisher_is_another_message(factory: &impl Factory) {
    let mut driver = Driver::watching(factory, &["r"]).await;
    for (n, publisher) in [(1, "ann"), (2, "bob")] {
        let receipt = driver
            .store(number("r", n), key("r", publisher, "id"))
            .await;
        assert!(!receipt.duplicate, "of {publisher}");
        assert_eq!(read_number(&*driver.message("r").await), n);
    }
}

/// The same content twice is two messages.
pub async fn publishes_without_a_key_are_never_repeats(factory: &impl Factory) {
    let mut driver = Driver::watching(factory, &["r"]).await;
    let first = driver.store(number("r", 1), None).await;
    let second = driver.store(number("r", 1), None).await;
    assert!(!second.duplicate);
    assert!(at(&second).1 > at(&first).1);
    for _ in 0..2 {
        driver.message("r").await;
    }
}

/// Rooms without history do not deduplicate.
pub async fn without_history_nothing_is_remembered(factory: &impl Factory) {
    let mut driver = Driver::in_rooms(factory, &["r"], false).await;
    for n in [1, 2] {
        let token = driver.publish(number("r", n), false, key("r", "ann", "id"));
        assert!(!driver.receipt(token).await.duplicate);
        assert_eq!(read_number(&*driver.message("r").await), n);
    }
}
