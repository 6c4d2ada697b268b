package lab

import (
	"slices"
	"strings"

	"attls/extensions/profile"
)

// Full are the runs of everything: the profiles as they are, each reading that is not in
// force, one at a time, each lax relying party, and the stacks.
func (o Options) Full(stacks ...Stacks) ([]Options, error) {
	list := []Options{o}
	other := o
	other.Profiles = nil
	for _, p := range o.Profiles {
		more, err := otherReadings(p)
		if err != nil {
			return nil, err
		}
		other.Profiles = append(other.Profiles, more...)
	}
	if len(other.Profiles) > 0 {
		list = append(list, other)
	}
	for _, l := range LaxParties {
		lax := o
		lax.Lax = l.ID
		list = append(list, lax)
	}
	for _, s := range stacks {
		with := o
		with.Stacks = s
		list = append(list, with)
	}
	return list, nil
}

// otherReadings is a profile under each reading that is not in force, one at a time.
func otherReadings(p *profile.Profile) (list []*profile.Profile, err error) {
	for _, x := range p.Readings {
		for _, option := range x.Options {
			if option == x.Chosen {
				continue
			}
			q, err := under(p, map[string]string{x.Switch: option})
			if err != nil {
				return nil, err
			}
			list = append(list, q)
		}
	}
	return list, nil
}

// under is a profile under other readings of some of its switches.
func under(p *profile.Profile, chosen map[string]string) (*profile.Profile, error) {
	for _, x := range p.Readings {
		if _, ok := chosen[x.Switch]; !ok {
			chosen[x.Switch] = x.Chosen
		}
	}
	// A changed draft may use a switch of its base no longer; its document is without it then.
	source := []byte(p.Source())
	bare, err := profile.Parse(p.ID, source, profile.Options{})
	if err != nil {
		return nil, err
	}
	for name := range chosen {
		if len(readingsOf(bare, name)) == 0 {
			delete(chosen, name)
		}
	}
	return profile.Parse(p.ID, source, profile.Options{Readings: chosen})
}

// readingsIn are the readings of a profile that are not its defaults: "hrr=a,schedule=b".
func readingsIn(p *profile.Profile) string {
	var list []string
	for _, x := range p.Readings {
		if x.Chosen != x.Default {
			list = append(list, x.Switch+"="+x.Chosen)
		}
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}
