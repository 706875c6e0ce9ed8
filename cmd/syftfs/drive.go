package main

import (
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/openmined/syftfs/cmd/internal/config"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/spf13/cobra"
)

// localDrive is what the commands about the local drive share: its folder.
type localDrive struct {
	*app
	typed string // --dir; "" is the default
}

func (a *app) driveCmd() *cobra.Command {
	d := &localDrive{app: a}
	c := group("drive", "The local drive: a server that speaks Google Drive, for machines without a Google account",
		"  syftfs drive serve --detach\n  syftfs drive accounts add owen@lab.example --token owen.json\n  syftfs drive stats",
		d.serveCmd(), d.statusCmd(), d.stopCmd(), d.accountsCmd(), d.tokenCmd(), d.clientSecretCmd(), d.proxyEnvCmd(), d.statsCmd(), d.faultCmd(), d.switchCmd(), d.checkCmd())
	c.Long = "drive serves Google Drive v3 to several accounts on this machine, with everything kept in one folder: files, sharing, search, uploads, the change\n" +
		"feed, sign-in and quota. syftfs, rclone and Google's own client libraries work with it unchanged. The other commands find the running server by its\n" +
		"folder, and work only for whoever may read that folder."
	c.PersistentFlags().StringVar(&d.typed, "dir", "", "folder of the drive (default $XDG_STATE_HOME/syftfs-drive)")
	return c
}

// folder is where the drive is kept. It lies neither in the state of the datasites, where every folder is one, nor around it.
func (d *localDrive) folder() (string, error) {
	root, err := config.Root()
	if err != nil {
		return "", err
	}
	if d.typed == "" {
		return root + "-drive", nil
	}
	dir, err := filepath.Abs(d.typed)
	if err != nil {
		return "", err
	}
	if config.Overlap(dir, root) {
		return "", usage{fmt.Errorf("--dir: %s and the state of your datasites, %s, lie in each other: choose another folder", dir, root)}
	}
	return dir, nil
}

// prepare makes the folder, or refuses one that holds something else or that others may look into.
func prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return &service.Error{Code: service.Forbidden, Message: fmt.Sprintf("%s would hold tokens and private files, and others may look into it: chmod 700 %s", dir, shellWord(dir)), Err: iofs.ErrPermission}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	foreign := ""
	for _, e := range entries {
		switch e.Name() {
		case databaseFile, recordFile:
			return nil
		case serveLog: // it comes first
		default:
			foreign = e.Name()
		}
	}
	if foreign != "" {
		return &service.Error{Code: service.Conflict, Message: fmt.Sprintf("%s holds %s and no drive: choose an empty or a new folder with --dir", dir, foreign), Err: iofs.ErrExist}
	}
	return nil
}

// command is a command about the drive in dir, as it is typed anywhere.
func (d *localDrive) command(dir, rest string) string {
	if d.typed == "" {
		return "syftfs drive " + rest
	}
	return "syftfs drive " + rest + " --dir " + shellWord(dir)
}

// again is a command about this drive, as it is typed here.
func (d *localDrive) again(rest string) string { return d.command(d.typed, rest) }

// shellWord is s as a POSIX shell reads it back.
func shellWord(s string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./_-", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
