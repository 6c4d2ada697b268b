package dissect

import (
	"bytes"

	"attls"
	"attls/extensions/profile"
	"attls/handshake/exported"
)

// frame is one thing that an end has sent as application data.
type frame struct {
	content exported.Content
	octets  []byte
}

// splitter takes what one end has sent as application data apart.
type splitter struct {
	frames  *exported.Frames
	framed  bool
	rest    []byte
	seen    map[exported.Content]bool
	without bool // data without frames has begun
}

func newSplitter(p *profile.Profile) *splitter {
	return &splitter{frames: exported.NewFrames(&p.Authenticator, 0), framed: p.Authenticator.Repeats(),
		seen: map[exported.Content]bool{}}
}

// split takes more octets and returns what is complete. After an error, which says that they
// are not framed as the profile says, it is of no more use.
func (s *splitter) split(octets []byte) (list []frame, _ *attls.Error) {
	if s.without {
		return []frame{{exported.ContentData, octets}}, nil
	}
	s.rest = append(s.rest, octets...)
	for len(s.rest) > 0 {
		what, content, n, err := s.frames.Next(s.rest)
		if !s.framed && (err != nil || n > 0 && s.seen[what]) { // one of each, and then data
			s.without = true
			rest := s.rest
			s.rest = nil
			return append(list, frame{exported.ContentData, rest}), nil
		}
		if err != nil || n == 0 {
			return list, err
		}
		s.seen[what] = true
		list = append(list, frame{what, bytes.Clone(content)})
		s.rest = s.rest[n:]
	}
	return list, nil
}
