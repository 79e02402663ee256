// SPDX-License-Identifier: Apache-2.0

package plugin

// The component that is a package of its own.
import _ "github.com/kommo-connect/kommo-connect/plugin/message"
