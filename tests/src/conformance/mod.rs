//! What every broker does, whichever it is: each function is one sentence of behaviour, and
//! [`broker_conformance!`](crate::broker_conformance) makes a test of each for one kind of broker.

pub mod contents;
pub mod driver;
pub mod people;
pub mod positions;
pub mod repeats;

use std::any::Any;
use std::future::Future;

use linnet_gateway::broker::Broker;

use crate::manifest::Manifest;
pub use driver::Driver;

/// Makes brokers of one kind.
pub trait Factory: Sync {
    /// Whether the broker itself stores messages, so that it can be asked for them.
    const STORES: bool;

    /// A broker for the channel of `manifest`, connected to nothing that was there before.
    fn start(&self, manifest: &Manifest) -> impl Future<Output = Started> + Send;
}

/// A broker and what it lives on.
pub struct Started {
    /// The broker.
    pub broker: Box<dyn Broker>,
    /// What ends with it: a server, a runtime.
    pub keep: Box<dyn Any + Send>,
}

/// Tests of all behaviours, for the brokers that the factory `$factory` makes.
#[macro_export]
macro_rules! broker_conformance {
    ($factory:expr) => {
        $crate::broker_conformance! {
            $factory =>
            positions: [
                a_position_is_told_before_anything_else,
                a_stored_message_has_the_offset_of_its_receipt_in_the_epoch_that_was_told,
                offsets_rise_over_all_rooms_in_the_order_of_a_publisher,
                a_message_without_history_has_no_position,
                messages_have_the_time_of_their_publication,
                a_burst_of_1000_publishes_is_answered_whole_and_arrives_in_order,
                a_burst_without_history_is_answered_whole_and_arrives_in_order,
                a_room_that_was_unwatched_and_watched_again_is_heard,
                what_is_held_back_comes_later,
                a_read_has_what_is_stored_or_says_that_it_can_not,
            ]
            repeats: [
                the_same_key_again_is_a_repeat_of_the_first_and_no_second_message,
                repeats_that_were_not_awaited_make_one_message_too,
                the_same_id_in_another_room_is_another_message,
                the_same_id_of_another_publisher_is_another_message,
                publishes_without_a_key_are_never_repeats,
                without_history_nothing_is_remembered,
            ]
            contents: [
                json_text_survives_byte_for_byte,
                text_and_bytes_stay_what_they_are,
                all_fields_of_a_message_survive,
                an_absent_field_stays_absent,
                odd_room_names_stay_in_their_room_with_history,
                odd_room_names_stay_in_their_room_without_history,
                rooms_whose_names_begin_alike_are_told_apart,
                the_largest_message_arrives,
            ]
            people: [
                one_who_joins_is_told_with_user_and_info,
                one_who_leaves_is_told,
                the_same_connection_may_come_and_go,
                a_direct_message_comes_here_and_its_count_is_told,
                a_direct_message_to_nobody_reaches_0_connections,
                a_direct_message_that_full_queues_refused_is_overloaded,
                fields_of_a_direct_message_survive,
            ]
        }
    };
    ($factory:expr => $($subject:ident: [$($name:ident),+ $(,)?])+) => {
        $($(
            #[test]
            fn $name() {
                $crate::scenario(60, $crate::conformance::$subject::$name(&$factory));
            }
        )+)+
    };
}
