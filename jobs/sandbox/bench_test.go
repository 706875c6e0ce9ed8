package sandbox_test

import (
	"os"
	"testing"

	"github.com/openmined/syftfs/jobs/sandbox"
)

// BenchmarkRun is a whole run of an empty job: private tree, bubblewrap, init, collection.
func BenchmarkRun(b *testing.B) {
	s, spec, err := build(b.TempDir(), sandbox.Config{})
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(spec.Work+"/run.sh", []byte("echo\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := s.Ready(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if out, err := s.Run(b.Context(), spec); err != nil || out.Code != 0 {
			b.Fatal(out, err)
		}
	}
}
