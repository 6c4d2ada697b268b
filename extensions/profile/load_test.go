package profile

import "testing"

func TestEveryProfileLoads(t *testing.T) {
	for _, name := range Names() {
		p, err := Load(name, Options{})
		if err != nil {
			t.Errorf("%s:\n%v", name, err)
			continue
		}
		if p.ID != name {
			t.Errorf("%s calls itself %s", name, p.ID)
		}
		for _, w := range p.Warnings {
			t.Logf("%v", w)
		}
	}
}
