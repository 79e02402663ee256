// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"
)

// helpHead is the part of the help that is about Kommo. The engine's own speaks of mundane tasks, and no option of it changes that.
const helpHead = `NAME:
   kommo-connect - reads the chats of a Kommo (amoCRM) account and brings their messages into Kafka, search engines, databases and files

USAGE:
   kommo-connect [global options] command [command options]

DESCRIPTION:
   A pipeline is a YAML file: an input that reads chats, processors, an output.

     kommo-connect create kommo_chat_history/kommo_message/stdout > pipeline.yaml
     kommo-connect lint pipeline.yaml
     kommo-connect check pipeline.yaml
     kommo-connect run pipeline.yaml

   Without a command it runs the first of these files that is there:
     `

const helpTail = `

   Documentation: ` + documentation

// setHelp makes the help of the whole program, without a command, speak of Kommo. The lists of commands and options stay the engine's.
func setHelp() {
	if _, lists, ok := strings.Cut(ucli.AppHelpTemplate, "{{if .VisibleCommands}}"); ok {
		ucli.AppHelpTemplate = helpHead + strings.Join(defaultPaths, ", ") + helpTail + "{{if .VisibleCommands}}" + lists
	}
}

// asksVersion tells whether the command line asks for the version and nothing else.
func asksVersion(args []string) bool {
	return len(args) == 1 && slices.Contains([]string{"--version", "-version", "--v", "-v"}, args[0])
}

// madeOf names the modules that a bug report has to name beside the version, in the order in which they are printed.
var madeOf = []struct{ name, module string }{
	{"Redpanda Connect", "github.com/redpanda-data/connect/v4"},
	{"Benthos", "github.com/redpanda-data/benthos/v4"},
}

// printMadeOf prints a line each for what the binary is made of, as the go command recorded it.
func printMadeOf(out io.Writer) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	for _, m := range madeOf {
		for _, dep := range info.Deps {
			if dep.Path == m.module {
				fmt.Fprintf(out, "%s: %s\n", m.name, dep.Version)
			}
		}
	}
	fmt.Fprintf(out, "Go: %s\n", info.GoVersion)
}
