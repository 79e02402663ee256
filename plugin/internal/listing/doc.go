// SPDX-License-Identifier: Apache-2.0

// Package listing finds out which chats are new or changed since the last
// listing, from a list that has pages, that changes while it is read, and whose
// order nobody documents. It knows nothing of HTTP or Benthos.
//
// # What holds a listing together
//
// Pages are numbered from the front, so whatever is added to, taken from or
// moved within the part that was read shifts all that follows. Consecutive pages
// therefore overlap by at least one row (window), and a page counts only if it
// has a row of the page before, unchanged (lap). Rows that have not changed keep
// their order among themselves in any list that is sorted by its rows' own
// values, so all of them are seen. A row that changes may move; what moves
// towards the end is met there, and what moves to the front is met when, after
// the last page, the front is read once more up to the first row that was there
// before (lister).
//
// A page that is not full need not be the last: a server may hide rows after it has
// counted them. So it is looked behind, until nothing was found there 32 times, and
// now and then after that. Once something was there, it always is, and listings
// that were believed to be whole are done again.
//
// # What is new
//
// Of a list whose rows tell when they were updated (updates) everything is new
// that is newer than the watermark, or as new and not yet listed. The watermark
// moves only when a whole listing is done, and only to what was certain
// when that listing began: it trails the clock and the latest update, because a row
// can appear late, and can change again within the second that it shows. This is
// right for any order. Of the server's clock and our own the earlier one counts,
// so that it takes two wrong ones to pass over a row.
//
// Of a list without such times (firsts) a chat is new that was never listed.
//
// # When reading may stop early
//
// In a list that is sorted by its rows' updates, the latest first, nothing new
// follows what is older than the watermark. This is assumed only once a whole
// listing has shown it, in a way that no order by age could, and it is looked at
// again in every page and in a whole listing a day (order). If it turns out wrong
// the watermark goes back to that of the last whole listing.
//
// # What a checkpoint promises
//
// It covers what was acknowledged without a gap. It is written at any time: in
// the middle of a listing it holds the place too, as rows to find again. Without the
// place a restart would not only ask for those pages again. Of what a listing has
// listed the checkpoint keeps no more than the place, so all of it would be listed
// again, and a process that is restarted often enough would never come to the end of
// its first listing.
//
// Rows are acknowledged one by one; of a page on which one never is, that row counts
// as out, and a few hundred bytes are kept.
//
// After each listing Save looks whether the Store still has what was written last,
// and writes it again from memory if not.
package listing
