// SPDX-License-Identifier: Apache-2.0

package listing

import "errors"

// memory decides what of a list is new, and keeps what was delivered and acknowledged
// of it: [updates] where rows tell when they were updated, [firsts] where they do not.
type memory interface {
	// begin starts a listing, or starts it over.
	begin()
	// look looks at a page as a whole, before its rows. refuted says that the order
	// turned out to be another one than it was taken for; the listing has to start over
	// then.
	look(got *Page) (refuted bool)
	// wanted reports whether a row has to be listed, and notes in the batch what to
	// remember of it once that is acknowledged. Caller holds mu.
	wanted(r *Row, got *Page, p *pending) bool
	// chosen is told that the rows of a page have been chosen. enough says that nothing
	// of interest follows it.
	chosen(got *Page) (enough bool)
	// overlooked says whether rows that came behind what seemed to be the last page
	// were there before it was read: others may have been added since.
	overlooked(rows []Row) bool
	// distrust takes back all that was said to be complete, and reports whether any was.
	distrust() bool
	// mark adds to a place what is needed to go on from it.
	mark(p *place)
	// progress returns what a checkpoint says of the listing. lies and place are the
	// Lister's to add.
	progress() progress
	// end notes that all of the listing has been listed. loose: in no lasting order.
	end(loose bool)

	// acked takes the acknowledgement of one row, and covered that of a batch and all
	// that came before it. Caller holds mu.
	acked(p *pending, row int)
	covered(p *pending)

	// values returns under which names it is kept.
	values() []string
	// restore takes the i-th value of an earlier run, and returns what it says of the
	// listing that was under way. The error is errOther for a value that is of no use.
	// Caller holds mu.
	restore(i int, value []byte) (progress, error)
	// unsaved returns how to encode the i-th value if it has changed since the last
	// call, else nil. spoiled has it count as changed. Caller holds mu, and not during
	// the encoding.
	unsaved(i int) (encode func() ([]byte, error))
	spoiled(i int)
}

// errOther says that a checkpoint was made for other origins, or for a later Since.
var errOther = errors.New("the checkpoint was made for another list")
