package cca

import (
	"testing"

	"attls/attestation/roottest"
)

func TestRoot(t *testing.T) { roottest.Run(t, Format(), roottest.Options{}) }

func TestParsecRoot(t *testing.T) { roottest.Run(t, ParsecFormat(), roottest.Options{}) }
