// SPDX-License-Identifier: Apache-2.0

package amojo

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The vectors that the vendor published (chats-api.md, The signature).
func TestSign_PublishedVectors(t *testing.T) {
	for _, v := range []struct{ secret, method, md5, date, path, want string }{
		{
			"fb50586ff7b68cd831fe0ef356345903f644c0d2", "GET", "d41d8cd98f00b204e9800998ecf8427e", "Tue, 13 Dec 2022 11:00:00 +0000",
			"/v2/origin/custom/f62a0162-46a7-430e-b06c-0ef798d76a21_52fd2a28-d2eb-4bd8-b862-a67934927b38/chats/30477717-9f3c-4d3f-8101-60327e14dc48/history",
			"2a2593df86235c44943a40ce35409d18bda5778c",
		},
		{
			"f2d7f8704eff95087ed45b23ba99c0b5aac8278e", "POST", "2fbcb3c652b61e24e004daddfc73d0ce", "Wed, 15 Dec 2021 23:12:55 +0000",
			"/v2/origin/custom/344a5002-f8ca-454d-af3d-396180102ac7/connect",
			"81211856ce0c5095f3e1a90c0a38dc9d736cfd55",
		},
		{
			"f2d7f8704eff95087ed45b23ba99c0b5aac8278e", "DELETE", "271fa2e4fb0ff84a3ef9689027bd1f38", "Wed, 15 Dec 2021 23:59:28 +0000",
			"/v2/origin/custom/344a5002-f8ca-454d-af3d-396180102ac7/disconnect",
			"e1678e3b6aa674b5127f4feb448e6200ce0bfc72",
		},
	} {
		assert.Equal(t, v.want, Sign(v.secret, v.method, v.md5, "application/json", v.date, v.path))
	}
}
