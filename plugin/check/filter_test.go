// SPDX-License-Identifier: Apache-2.0

package check

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func TestCheck_ABoundOfTheTimeFilterThatIsIgnored(t *testing.T) {
	t.Parallel()
	for ignored, want := range map[string]string{"": "kept", "from": "from_ignored", "to": "to_ignored", "from to": "ignored"} {
		for _, faults := range [][]sandbox.Fault{nil, fault("oldest-first"), fault("page-cap,limit=7")} {
			s := world(t, sandbox.Config{})
			require.NoError(t, s.SetFaults(faults...))
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				q := r.URL.Query()
				for bound := range strings.FieldsSeq(ignored) {
					q.Del("filter[created_at][" + bound + "]")
				}
				r.URL.RawQuery = q.Encode()
				s.ServeHTTP(w, r)
			}))
			t.Cleanup(server.Close)
			conf := both(server)
			conf.BaseURL, conf.ScopeID, conf.ChannelSecret, conf.Chats = "", "", "", nil
			report, err := Run(t.Context(), conf)
			require.NoError(t, err)
			for _, list := range []string{"messages", "events"} {
				f := finding(t, report, list+".filter")
				assert.Equal(t, want, f.Answer, "%s with %v", list, faults)
				assert.Equal(t, want == "kept", f.Status == OK)
			}
		}
	}
}
