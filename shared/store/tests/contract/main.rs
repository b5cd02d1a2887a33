//! One contract for all stores: every promise of the port, kept by a folder, by `MinIO` and by `LocalStack`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backends;
mod faults;
mod folder;
mod objects;
mod proxy;
mod swaps;
mod thaws;
mod uploads;

/// Runs each check against each store.
macro_rules! contract {
    ($($module:ident: $($check:ident),+;)+) => {
        contract!(@store file, $($module: $($check),+;)+);
        contract!(@store minio, $($module: $($check),+;)+);
        contract!(@store localstack, $($module: $($check),+;)+);
    };
    (@store $store:ident, $($module:ident: $($check:ident),+;)+) => {
        mod $store {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $check() {
                    crate::$module::$check(crate::backends::$store().await).await;
                }
            )+)+
        }
    };
}

contract! {
    objects:
        a_new_object_is_read_back_byte_for_byte,
        a_second_write_of_a_key_fails_and_changes_nothing,
        of_eight_writers_of_one_key_exactly_one_wins,
        what_is_missing_is_not_found,
        hostile_keys_are_refused_by_every_call,
        unusual_keys_come_back_as_they_were,
        a_listing_is_whole_and_sorted_beyond_a_thousand_keys,
        prefixes_and_folders_select_what_lies_below_them,
        stores_side_by_side_do_not_see_each_other,
        a_small_object_that_is_too_large_is_corrupt,
        deleting_twice_is_no_error,
        a_probe_passes_twice_and_leaves_only_probe_objects,
        tags_are_replaced_as_a_whole_or_not_kept_at_all;
    uploads:
        streams_of_every_size_come_back_whole,
        nothing_is_visible_before_completion_nor_after_a_drop,
        an_aborted_upload_leaves_the_key_free,
        a_key_taken_meanwhile_is_not_replaced,
        of_four_uploads_to_one_key_exactly_one_wins,
        a_sweep_ends_only_uploads_begun_before;
    swaps:
        a_swap_needs_the_etag_that_is_there,
        of_eight_swaps_from_one_state_exactly_one_is_done,
        no_increment_is_lost_among_racing_swaps;
}
