package handshake

import (
	"attls"
	"attls/extensions"
	"attls/internal/provider"
)

// share is a key share that this client generated.
type share struct {
	group attls.NamedGroup
	key   provider.PrivateKey
}

// generate makes a key share from fresh octets. n numbers the shares of a
// connection.
func (e *Engine) generate(g attls.NamedGroup, n int) (share, *attls.Error) {
	return e.generateFor(UseKeyShare, g, n)
}

// generateFor makes a key share for a use, of which n numbers the shares.
func (e *Engine) generateFor(use Use, g attls.NamedGroup, n int) (share, *attls.Error) {
	group, ok := e.prov.Group(g)
	if !ok {
		return share{}, attls.Errorf(attls.Local, attls.FailInternal, "%v is not implemented", g)
	}
	seed := &e.scratch.seed
	defer clear(seed[:])
	for attempt := 0; attempt < 8; attempt++ {
		b := seed[:group.SeedLen()]
		e.random.Fill(use, uint32(n<<8|attempt), b)
		if k, err := group.Generate(b); err == nil {
			return share{g, k}, nil
		}
	}
	return share{}, attls.Errorf(attls.Local, attls.FailInternal, "no seed that was drawn makes a key of %v", g)
}

// respond makes the server's share and the shared secret.
func (e *Engine) respond(g attls.NamedGroup, theirs []byte) (ours, shared []byte, _ *attls.Error) {
	ours, shared, err := e.respondFor(UseKeyShare, g, 0, theirs)
	if err != nil && err.Class != attls.Local {
		err.Under("extensions.key_share").In(attls.KindClientHello)
	}
	return ours, shared, err
}

// respondFor makes a share and the shared secret for a use, of which n numbers the shares.
func (e *Engine) respondFor(use Use, g attls.NamedGroup, n int, theirs []byte) (ours, shared []byte, _ *attls.Error) {
	group, ok := e.prov.Group(g)
	if !ok {
		return nil, nil, attls.Errorf(attls.Local, attls.FailInternal, "%v is not implemented", g)
	}
	seed := &e.scratch.seed
	defer clear(seed[:])
	for attempt := 0; attempt < 8; attempt++ {
		b := seed[:group.RespondSeedLen()]
		e.random.Fill(use, uint32(n<<8|attempt), b)
		ours, shared, err := group.Respond(b, theirs)
		if err == nil {
			return ours, shared, nil
		}
		if bad, ok := err.(*attls.Error); ok {
			return nil, nil, bad
		}
	}
	return nil, nil, attls.Errorf(attls.Local, attls.FailInternal, "no seed that was drawn makes a key of %v", g)
}

// appendShares appends the key_share of a first ClientHello.
func (e *Engine) appendShares(buf []byte, shares []share) []byte {
	list := make([]extensions.KeyShareEntry, 0, 3)
	if e.cfg.GREASE {
		list = append(list, extensions.KeyShareEntry{Group: attls.NamedGroup(e.greaseValue(greaseGroup)), Key: []byte{0}})
	}
	for _, s := range shares {
		list = append(list, extensions.KeyShareEntry{Group: s.group, Key: s.key.Share()})
	}
	return extensions.AppendKeyShares(buf, list)
}
