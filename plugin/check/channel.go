// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"errors"
	"strings"

	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

// nobody is the id of a chat that no channel has.
const nobody = "00000000-0000-0000-0000-000000000000"

// checkChannel asks the signed Chats API.
func (c *checker) checkChannel(ctx context.Context, call *apicall.Caller) {
	c.section = "Scope"
	scope, ok := c.scope()
	if !ok {
		return
	}
	var err error
	if c.own, err = c.conf.amojoClient(scope, call); err != nil {
		c.add("channel.scope", Error, rejected, said{full: err.Error(), public: "scope_id is not {channel_id}_{amojo_id}"}, "")
		return
	}
	c.section = "Connection to the Chats API"
	_, err = c.history(nobody).ask(ctx, query{limit: 1})
	if !c.checkConnection(c.channel, err) {
		return
	}
	c.section = "Signature"
	if !c.judgeSignature(ctx, err) {
		return
	}
	c.section = "History of a chat"
	c.checkChats(ctx)
}

// scope returns the scope_id: the given one, or one made of the channel's id and the
// account's.
func (c *checker) scope() (string, bool) {
	const id = "channel.scope"
	known := c.known.amojoID
	if c.conf.ScopeID == "" {
		if known == "" {
			c.add(id, Error, "unknown", say("the account's amojo_id was not told, so no scope_id can be made of channel_id"), "see what is said of the account above, or set scope_id")
			return "", false
		}
		scope := c.conf.ChannelID + "_" + known
		c.ok(id, "made", "scope_id is %s", anID(scope))
		return scope, true
	}
	_, of, _ := strings.Cut(c.conf.ScopeID, "_")
	switch {
	case known == "":
		c.unseen(id, "without a token it is not known which account scope_id should name")
	case of != known:
		c.add(id, Error, "other_account", say("scope_id names another account than the token's, whose amojo_id is %s", anID(known)), "set scope_id to {channel_id}_{amojo_id} of the account that is to be read")
	default:
		c.ok(id, "agrees", "scope_id names the account of the token")
	}
	return c.conf.ScopeID, true
}

// judgeSignature judges what the API says of a chat that does not exist. Of a chat of
// another channel it may say the same as of a wrong secret, so that others are asked for
// where it refuses.
func (c *checker) judgeSignature(ctx context.Context, err error) bool {
	const id = "channel.signature"
	word := wordOf(err)
	switch {
	case err == nil:
		c.ok(id, "accepted", "the secret and the channel of scope_id are accepted; a chat that does not exist is empty")
		return true
	case word == notFound, word == rejected:
		c.ok(id, "accepted", "the secret and the channel of scope_id are accepted; a chat that does not exist is refused: %s", troubleOf(err))
		return true
	case word == notRegistered:
		c.add(id, Error, word, troubleOf(err), "make the channel's connect call for this account; it returns the scope_id")
		return false
	case word != signRefused && word != refusedOther:
		c.failed(id, err)
		return false
	}
	for _, chat := range c.candidates(3) {
		_, chatErr := c.history(chat).ask(ctx, query{limit: 1})
		if chatErr == nil {
			c.ok(id, "accepted_for_own", "the secret and the channel of scope_id are accepted; a chat that does not exist is refused as one of another channel is")
			return true
		}
		if errors.Is(chatErr, errTimeUp) {
			c.failed(id, chatErr)
			return false
		}
	}
	refused, _ := errors.AsType[*amojo.RefusedError](err)
	clock := ""
	if refused.ClockKnown {
		clock = ", with the server's time too"
	}
	c.add(id, Error, word, say("the API refuses what is signed%s: status %d%s", clock, refused.Err.Status, ofType(refused.Err)),
		"check that channel_secret is the secret of the channel whose id is the first part of scope_id")
	return false
}

// candidates are chats to ask for: those that are given, or that the token may see.
func (c *checker) candidates(most int) []string {
	chats := c.conf.Chats
	if len(chats) == 0 {
		chats = c.known.own
	}
	return chats[:min(most, len(chats))]
}

func (c *checker) host(a *api) string {
	if a == c.account {
		return c.crm.Host()
	}
	return c.own.Host()
}
