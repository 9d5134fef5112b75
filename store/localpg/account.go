//go:build unix

package localpg

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is the account that the server runs as. The zero value is our own.
type account struct {
	name       string
	credential *syscall.Credential
}

// serverAccount returns the account for a server that a user starts.
func serverAccount(uid int) (account, error) {
	if uid != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if errUID == nil && errGID == nil {
			return account{name, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
		}
	}
	return account{}, fmt.Errorf("finding an account to run as: PostgreSQL refuses to run as root, and there is " +
		"neither an account postgres nor nobody: create one, or start this as another user")
}

// own makes the account the owner of path.
func (a account) own(path string) error {
	if a.credential == nil {
		return nil
	}
	return os.Chown(path, int(a.credential.Uid), int(a.credential.Gid))
}

// reach returns an error if the account may not enter dir or a directory above it. The path is absolute and without
// symbolic links.
func (a account) reach(dir string) error {
	if a.credential == nil {
		return nil
	}
	var closed []string
	for d := dir; ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err != nil {
			return err
		}
		if !a.searchable(info) {
			closed = append(closed, d)
		}
		if d == filepath.Dir(d) {
			break
		}
	}
	if closed == nil {
		return nil
	}
	return fmt.Errorf("PostgreSQL refuses to run as root, and the account %s, which it runs as instead, may not enter "+
		"%s: use a directory elsewhere (TMPDIR says where temporary ones are made), or open these with: chmod o+x %s",
		a.name, strings.Join(closed, ", "), strings.Join(closed, " "))
}

// searchable reports whether the permission bits let the account, which is only in its own group, into a directory.
func (a account) searchable(info os.FileInfo) bool {
	bit := os.FileMode(0o001)
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		switch {
		case stat.Uid == a.credential.Uid:
			bit = 0o100
		case stat.Gid == a.credential.Gid:
			bit = 0o010
		}
	}
	return info.Mode()&bit != 0
}
