// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The image is built and run with buildah, which needs no daemon. Its base is made here, from the Go toolchain that runs this
// test, and the build uses its caches: what is tested is the Dockerfile, not a download.
func TestContainer(t *testing.T) {
	b := newBuildah(t)
	base := b.goImage(t)
	// The same path as outside: it is part of what the compiler's cache goes by.
	modules := goEnv(t, "GOMODCACHE")
	image := "kommo-connect-test"
	b.run(t, "build", "--format", "docker", "--layers=false", "--tag", image,
		"--build-arg", "GO_IMAGE="+base, "--build-arg", "VERSION=v1.2.3-test", "--build-arg", "DATE=2026-01-31T12:00:00Z",
		"--volume", modules+":"+modules, "--volume", goEnv(t, "GOCACHE")+":/go/cache", project)

	t.Run("metadata", func(t *testing.T) {
		var inspected struct {
			Docker struct {
				Config struct {
					User        string
					Entrypoint  []string
					Healthcheck struct{ Test []string }
				} `json:"config"`
			}
		}
		require.NoError(t, json.Unmarshal([]byte(b.run(t, "inspect", "--type", "image", image)), &inspected))
		config := inspected.Docker.Config
		require.Equal(t, "65532:65532", config.User)
		require.Equal(t, []string{"/usr/bin/kommo-connect"}, config.Entrypoint)
		require.Equal(t, []string{"CMD", "/usr/bin/kommo-connect", "run", "config/kommo-connect-health.yaml"}, config.Healthcheck.Test)
	})

	container := strings.TrimSpace(b.run(t, "from", image))
	t.Run("contents", func(t *testing.T) {
		root := strings.TrimSpace(b.run(t, "mount", container))
		for _, shell := range []string{"bin/sh", "usr/bin/sh", "bin/bash", "busybox"} {
			require.NoFileExists(t, filepath.Join(root, shell))
		}
		require.FileExists(t, filepath.Join(root, "etc", "ssl", "certs", "ca-certificates.crt"))
		require.Contains(t, b.run(t, "run", container, "--", "/usr/bin/kommo-connect", "--version"), "v1.2.3-test")
	})

	// As Redpanda's operator and its Helm chart start an image of Redpanda Connect.
	t.Run("Redpanda's operator and chart start it", func(t *testing.T) {
		root := strings.TrimSpace(b.run(t, "mount", container))
		pipeline := []byte("http: { enabled: false }\ninput: { generate: { count: 1, mapping: 'root.started = true' } }\noutput: { stdout: {} }\n")
		for _, path := range []string{"config/connect.yaml", "redpanda-connect.yaml"} {
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(root, path), pipeline, 0o644))
		}
		b.run(t, "run", container, "--", "/redpanda-connect", "lint", "/config/connect.yaml")
		require.Contains(t, b.run(t, "run", container, "--", "/redpanda-connect", "run", "/config/connect.yaml"), `{"started":true}`)
		require.Contains(t, b.run(t, "run", container, "--", "/usr/bin/kommo-connect", "-c", "/redpanda-connect.yaml"), `{"started":true}`)
	})

	t.Run("the service runs and its health check sees it", func(t *testing.T) {
		api := startSandbox(t, "--demo")
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		address := listener.Addr().String()
		require.NoError(t, listener.Close())
		e := readFrom(t, api).with(env{"KOMMO_HTTP_ADDRESS": address})
		delete(e, "KOMMO_CHECKPOINT_DIR") // the image has its own
		health := []string{"/usr/bin/kommo-connect", "run", "config/kommo-connect-health.yaml"}

		_, err = b.command(b.inContainer(container, e, health...)...).CombinedOutput()
		require.Error(t, err, "health before the service runs")

		service := b.command(b.inContainer(container, e, "/usr/bin/kommo-connect", "run", "config/kommo-connect.yaml")...)
		log, err := os.Create(filepath.Join(t.TempDir(), "log"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = log.Close() })
		service.Stdout, service.Stderr = log, log
		require.NoError(t, service.Start())
		t.Cleanup(func() {
			_ = service.Process.Kill()
			_ = service.Wait()
			if t.Failed() {
				content, _ := os.ReadFile(log.Name())
				t.Logf("the service's log:\n%s", last(string(content), 40))
			}
		})
		eventually(t, "the service to be ready", func() bool {
			response, err := http.Get("http://" + address + "/ready")
			if err != nil {
				return false
			}
			defer response.Body.Close()
			return response.StatusCode == http.StatusOK
		})
		out, err := b.command(b.inContainer(container, e, health...)...).CombinedOutput()
		require.NoError(t, err, "health while the service runs: %s", out)

		total := count(api.messages(t))
		eventually(t, "all messages on standard output", func() bool {
			content, err := os.ReadFile(log.Name())
			require.NoError(t, err)
			return strings.Count(string(content), `chat_id":`) == total
		})
	})
}

// buildah keeps its images in a folder of the test.
type buildah struct {
	path string
	dir  string
}

func newBuildah(t *testing.T) *buildah {
	t.Helper()
	path, err := exec.LookPath("buildah")
	require.NoError(t, err, "buildah is missing: apt-get install --no-install-recommends buildah")
	b := &buildah{path: path, dir: t.TempDir()}
	t.Cleanup(func() { _, _ = b.command("rm", "--all").CombinedOutput() })
	return b
}

func (b *buildah) command(arguments ...string) *exec.Cmd {
	storage := []string{"--storage-driver", "vfs", "--root", filepath.Join(b.dir, "root"), "--runroot", filepath.Join(b.dir, "run")}
	cmd := exec.Command(b.path, append(storage, arguments...)...)
	cmd.Env = append(os.Environ(), "BUILDAH_ISOLATION=chroot")
	return cmd
}

func (b *buildah) run(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := b.command(arguments...).CombinedOutput()
	require.NoError(t, err, "buildah %s\n%s", strings.Join(arguments, " "), last(string(out), 40))
	return string(out)
}

func (b *buildah) inContainer(container string, e env, command ...string) []string {
	arguments := []string{"run"}
	for key, value := range e {
		arguments = append(arguments, "--env", key+"="+value)
	}
	return append(append(arguments, container, "--"), command...)
}

// goImage makes an image of this machine's Go and a shell, and returns its name.
func (b *buildah) goImage(t *testing.T) string {
	t.Helper()
	shell, err := exec.LookPath("busybox")
	require.NoError(t, err, "busybox is missing: apt-get install --no-install-recommends busybox-static")
	certificates := "/etc/ssl/certs/ca-certificates.crt"
	require.FileExists(t, certificates, "apt-get install --no-install-recommends ca-certificates")
	goroot := goEnv(t, "GOROOT")

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(fmt.Sprintf(`FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "/bin"]
RUN ["/bin/mkdir", "/tmp"]
COPY ca-certificates.crt %[1]s
COPY go %[2]s
ENV PATH=%[2]s/bin:/bin GOMODCACHE=%[3]s GOCACHE=/go/cache GOTOOLCHAIN=local
`, certificates, goroot, goEnv(t, "GOMODCACHE"))), 0o644))
	for from, to := range map[string]string{shell: "busybox", certificates: "ca-certificates.crt"} {
		content, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, to), content, 0o755))
	}
	out, err := exec.Command("cp", "--recursive", "--dereference", goroot, filepath.Join(dir, "go")).CombinedOutput()
	require.NoError(t, err, "copying Go: %s", out)
	name := "local-go-" + strings.TrimPrefix(runtime.Version(), "go")
	b.run(t, "build", "--layers=false", "--tag", name, dir)
	return "localhost/" + name
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}
