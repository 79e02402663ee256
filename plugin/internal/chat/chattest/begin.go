// SPDX-License-Identifier: Apache-2.0

package chattest

import (
	"math/rand/v2"
	"sync"
)

// AtOnce is a chat.Start's Begin that makes each request before it returns.
func AtOnce(request func()) (wait func()) {
	request()
	return func() {}
}

// AnyOrder returns a Begin with which requests are made in any order: each when somebody
// waits for it, or for another one, or when more are begun.
func AnyOrder(seed uint64) func(request func()) (wait func()) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	var open []func()
	some := func() {
		for rnd.IntN(3) > 0 {
			open[rnd.IntN(len(open))]()
		}
	}
	return func(request func()) (wait func()) {
		once := sync.OnceFunc(request)
		open = append(open[max(0, len(open)-8):], once)
		some()
		return func() {
			some()
			once()
		}
	}
}
