// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"context"
	"encoding/json"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

// Account is the account that a token belongs to.
type Account struct {
	// AmojoID is its id in the Chats API, the second part of a scope_id; "" where the API
	// gave none.
	AmojoID string
	// Date is the server's time when it answered, to the second; the local time where it
	// did not tell.
	Date time.Time
}

// Account returns the account (chats-api.md, "Finding chats", row "GET /api/v4/account").
//
// Errors are as those of [Client.List].
func (c *Client) Account(ctx context.Context) (Account, error) {
	var account Account
	found := false
	err := c.get(ctx, call{doing: "reading the account"}, "/api/v4/account", "with=amojo_id",
		func() { account, found = Account{}, false },
		func(body []byte) error {
			var fields struct {
				AmojoID Value `json:"amojo_id"`
			}
			if json.Unmarshal(body, &fields) != nil {
				return broken(body, "it is not a JSON object, or breaks off")
			}
			account.AmojoID, found = fields.AmojoID.Text, true
			return nil
		},
		func(date time.Time) { account.Date = date })
	switch {
	case err != nil:
		return Account{}, err
	case !found: // 204: the lists answer so for nothing
		return Account{}, &RefusedError{
			Reason: RefusedNotFound, Err: &apicall.StatusError{Status: 204, Host: c.Host()}, call: call{doing: "reading the account"},
		}
	}
	return account, nil
}
