// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

func TestSimulator(t *testing.T) {
	from, _ := strconv.ParseUint(os.Getenv("KOMMO_SIM_SEED"), 10, 64)
	runs, _ := strconv.Atoi(os.Getenv("KOMMO_SIM_RUNS"))
	for i := range uint64(max(runs, 1)) {
		began := time.Now()
		r := simulate(t, from+i, ingredientsOf(from+i))
		fmt.Println(r.seed, time.Since(began).Round(time.Millisecond), len(r.w.log.events), len(r.w.api.ledger), r.took, fmt.Sprintf("%x %x", r.exact, r.loose), r.on)
		if len(r.broken) > 0 {
			fmt.Println(r.w.report())
			if runs <= 1 {
				fmt.Println(r.w.tail(400, 0))
			}
		}
	}
}
