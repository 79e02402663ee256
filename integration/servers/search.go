// SPDX-License-Identifier: Apache-2.0

//go:build integration

package servers

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Search is one node of a search engine with an HTTP API.
type Search struct {
	*Process
	URL string
}

// StartOpenSearch starts an empty OpenSearch node with settings beside those that it
// needs, in lines of its configuration file.
func StartOpenSearch(tb testing.TB, settings ...string) *Search {
	tb.Helper()
	return startSearch(tb, "OpenSearch", openSearchVersion, "opensearch", "OPENSEARCH", settings)
}

// StartElasticsearch is StartOpenSearch for Elasticsearch.
func StartElasticsearch(tb testing.TB, settings ...string) *Search {
	tb.Helper()
	return startSearch(tb, "Elasticsearch", elasticsearchVersion, "elasticsearch", "ES", append([]string{"xpack.security.enabled: false"}, settings...))
}

func startSearch(tb testing.TB, name, version, program, prefix string, settings []string) *Search {
	tb.Helper()
	home := filepath.Join(mavenServers(tb), program+"-"+version)
	java := java(tb)
	dir := serverDir(tb, program)
	port, transport := freePort(tb), freePort(tb)

	config := filepath.Join(dir, "config")
	if err := os.CopyFS(config, os.DirFS(filepath.Join(home, "config"))); err != nil {
		tb.Fatalf("copying the configuration of %s: %v", name, err)
	}
	writeFile(tb, filepath.Join(config, program+".yml"), fmt.Sprintf(`cluster.name: kommo-connect-tests
discovery.type: single-node
network.host: 127.0.0.1
http.port: %d
transport.port: %d
path.data: %s/data
path.logs: %s/logs
action.auto_create_index: true
# The disk of a test machine may be fuller than a node would have it.
cluster.routing.allocation.disk.threshold_enabled: false
%s`, port, transport, dir, dir, strings.Join(settings, "\n")))
	// The options name log files relative to the installation, which the servers' user may not write to.
	options, err := os.ReadFile(filepath.Join(config, "jvm.options"))
	if err != nil {
		tb.Fatalf("reading the Java options of %s: %v", name, err)
	}
	writeFile(tb, filepath.Join(config, "jvm.options"), strings.ReplaceAll(string(options), "logs/", dir+"/logs/"))
	writeFile(tb, filepath.Join(dir, "logs", ".keep"), "")
	writeFile(tb, filepath.Join(dir, "tmp", ".keep"), "")
	own(tb, dir)

	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	node := &Search{URL: url, Process: &Process{
		name:    name + " " + version,
		logPath: filepath.Join(dir, program+".out"),
		command: func() *exec.Cmd {
			cmd := exec.Command("bash", filepath.Join(home, "bin", program))
			cmd.Dir = dir
			cmd.Env = []string{
				"PATH=" + os.Getenv("PATH"), "HOME=" + dir,
				prefix + "_JAVA_HOME=" + java, prefix + "_PATH_CONF=" + config, prefix + "_TMPDIR=" + filepath.Join(dir, "tmp"),
				prefix + "_JAVA_OPTS=-Xms512m -Xmx512m",
			}
			return cmd
		},
		ready: func(ctx context.Context) error {
			return get(ctx, url+"/_cluster/health?wait_for_status=yellow&timeout=1s")
		},
		timeout: 4 * time.Minute,
	}}
	tb.Cleanup(func() { node.Stop(tb) })
	node.Start(tb)
	return node
}

func get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", response.Status)
	}
	return nil
}

// completeOpenSearch describes the modules of the language analyzers and of scripts to the small distribution, which lacks them.
func completeOpenSearch(tb testing.TB, home string) {
	tb.Helper()
	writeFile(tb, filepath.Join(home, "modules", "analysis-common", "plugin-descriptor.properties"), `name=analysis-common
description=The language analyzers
version=`+openSearchVersion+`
opensearch.version=`+openSearchVersion+`
java.version=11
classname=org.opensearch.analysis.common.CommonAnalysisPlugin
`)
	painless := filepath.Join(home, "modules", "lang-painless")
	writeFile(tb, filepath.Join(painless, "plugin-descriptor.properties"), `name=lang-painless
description=The language of scripts
version=`+openSearchVersion+`
opensearch.version=`+openSearchVersion+`
java.version=11
classname=org.opensearch.painless.PainlessPlugin
`)
	// Scripts become classes.
	writeFile(tb, filepath.Join(painless, "plugin-security.policy"), `grant {
  permission java.lang.RuntimePermission "createClassLoader";
  permission java.lang.RuntimePermission "getClassLoader";
};
`)
}

// completeElasticsearch builds the plugin that names the language analyzers, and adds it to the small distribution. The
// module that does so in the full distribution is not on Maven Central.
func completeElasticsearch(tb testing.TB, home string) {
	tb.Helper()
	plugin := filepath.Join(home, "plugins", "languages")
	classes := tb.TempDir()
	bin := filepath.Join(java(tb), "bin")
	for _, command := range [][]string{
		{"javac", "-nowarn", "-cp", filepath.Join(home, "lib", "*"), "-d", classes, filepath.Join(sourceDir(), "elasticsearch-languages", "LanguagesPlugin.java")},
		{"jar", "cf", filepath.Join(classes, "languages.jar"), "-C", classes, "kommo"},
	} {
		if out, err := exec.Command(filepath.Join(bin, command[0]), command[1:]...).CombinedOutput(); err != nil {
			tb.Fatalf("building the Elasticsearch plugin with %s: %v\n%s", command[0], err, out)
		}
	}
	jar, err := os.ReadFile(filepath.Join(classes, "languages.jar"))
	if err != nil {
		tb.Fatalf("building the Elasticsearch plugin: %v", err)
	}
	writeFile(tb, filepath.Join(plugin, "languages.jar"), string(jar))
	writeFile(tb, filepath.Join(plugin, "plugin-descriptor.properties"), `name=languages
description=Names for the language analyzers
version=1
elasticsearch.version=`+elasticsearchVersion+`
java.version=17
classname=kommo.LanguagesPlugin
`)
}
