// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Elasticsearch is a single node without security.
type Elasticsearch struct {
	*process
	URL string
}

// StartElasticsearch starts Elasticsearch with its data and logs in dir, or
// takes the one at FAULTLINE_ELASTICSEARCH (URL). The server refuses to run as
// root; then it runs as `nobody`, which comes to own dir.
func StartElasticsearch(ctx context.Context, dir string) (*Elasticsearch, error) {
	if url := os.Getenv("FAULTLINE_ELASTICSEARCH"); url != "" {
		return &Elasticsearch{URL: url}, nil
	}
	home, err := cache("elasticsearch")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(home, "bin", "elasticsearch")); err != nil {
		return nil, &MissingError{"Elasticsearch", "run `make backends` (it needs Maven), or set FAULTLINE_ELASTICSEARCH"}
	}
	java, err := javaHome()
	if err != nil {
		return nil, err
	}
	ports, err := FreePorts(2)
	if err != nil {
		return nil, err
	}
	// The node's own copy: the configuration is written by the server, too.
	conf := filepath.Join(dir, "config")
	if err := os.CopyFS(conf, os.DirFS(filepath.Join(home, "config"))); err != nil {
		return nil, err
	}
	// The server may write to its temporary folder, and so not to a folder above
	// its configuration.
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return nil, err
	}
	settings := fmt.Appendf(nil, elasticsearchConfig, ports[0], ports[1], filepath.Join(dir, "data"), filepath.Join(dir, "logs"))
	if err := os.WriteFile(filepath.Join(conf, "elasticsearch.yml"), settings, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(home, "bin", "elasticsearch")) //nolint:gosec,noctx // our own copy; ended by Stop
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "ES_JAVA_HOME="+java, "ES_PATH_CONF="+conf, "ES_JAVA_OPTS=-Xms512m -Xmx512m", "HOME="+tmp, "ES_TMPDIR="+tmp)
	if os.Geteuid() == 0 {
		if err := giveToNobody(cmd, dir); err != nil {
			return nil, err
		}
	}
	p, err := start(cmd)
	if err != nil {
		return nil, err
	}
	url := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	if err := p.ready(ctx, url+"/_cluster/health", 2*time.Minute); err != nil {
		p.Stop()
		return nil, err
	}
	return &Elasticsearch{process: p, URL: url}, nil
}

// javaHome finds a JDK of version 21 or later.
func javaHome() (string, error) {
	if home := os.Getenv("ES_JAVA_HOME"); home != "" {
		return home, nil
	}
	homes, _ := filepath.Glob("/usr/lib/jvm/*")
	for _, home := range homes {
		release, err := os.ReadFile(filepath.Join(home, "release"))
		if err != nil {
			continue
		}
		if major := javaMajor(string(release)); major >= 21 {
			return home, nil
		}
	}
	return "", &MissingError{"a JDK of version 21 or later", "set ES_JAVA_HOME, or FAULTLINE_ELASTICSEARCH"}
}

// javaMajor reads the major version from a JDK's release file; 0 if it has none.
func javaMajor(release string) int {
	const key = `JAVA_VERSION="`
	for i := 0; i+len(key) < len(release); i++ {
		if release[i:i+len(key)] == key {
			end := i + len(key)
			for end < len(release) && release[end] >= '0' && release[end] <= '9' {
				end++
			}
			major, _ := strconv.Atoi(release[i+len(key) : end])
			return major
		}
	}
	return 0
}

func giveToNobody(cmd *exec.Cmd, dir string) error {
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return err
	}
	uid, _ := strconv.ParseUint(nobody.Uid, 10, 32)
	gid, _ := strconv.ParseUint(nobody.Gid, 10, 32)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	// A test's temporary folder lies in one that only its owner may enter.
	for up := filepath.Dir(dir); up != "/" && up != "."; up = filepath.Dir(up) {
		if info, err := os.Stat(up); err == nil && info.Mode().Perm()&0o001 == 0 {
			if err := os.Chmod(up, info.Mode().Perm()|0o011); err != nil {
				return err
			}
		}
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(uid), int(gid))
	})
}

const elasticsearchConfig = `
discovery.type: single-node
xpack.security.enabled: false
network.host: 127.0.0.1
http.port: %d
transport.port: %d
path.data: %s
path.logs: %s
# A disk nine tenths full would leave every new index without a shard.
cluster.routing.allocation.disk.threshold_enabled: false
`
