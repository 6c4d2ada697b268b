package report

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"unicode/utf8"
)

// What a page shows at most of what peers, programs and files say. A report in JSON has
// all of it.
const (
	maxPageText  = 2000 // octets of a text
	maxPageList  = 500  // elements of a list of a run, or entries of a map
	maxPageDepth = 200  // steps into a run: a tree of 60 levels
)

// bounded is a copy of the report that a page can show, and the runs (by their place) of
// which it does not have everything.
func (r *Report) bounded() (*Report, map[int]bool) {
	shortened := map[int]bool{}
	short := *r
	short.Runs = make([]Run, len(r.Runs))
	for i := range r.Runs {
		var b bounder
		run := r.Runs[i]
		run.Ladder = slices.Clone(run.Ladder)
		for k := range run.Ladder {
			run.Ladder[k].Raw = "" // no page shows it
		}
		short.Runs[i] = b.value(reflect.ValueOf(run), 0).Interface().(Run)
		if b.shortened {
			shortened[i] = true
		}
	}
	var b bounder
	for _, text := range []*string{&short.Title, &short.Version, &short.Program, &short.Command} {
		*text = b.text(*text)
	}
	short.Stacks = slices.Clone(r.Stacks)
	for i := range short.Stacks {
		s := &short.Stacks[i]
		s.Name, s.Version, s.Where, s.Missing = b.text(s.Name), b.text(s.Version), b.text(s.Where), b.text(s.Missing)
	}
	short.Requirements = slices.Clone(r.Requirements)
	for i := range short.Requirements {
		q := &short.Requirements[i]
		q.ID, q.Document, q.Text, q.Unsent = b.text(q.ID), b.text(q.Document), b.text(q.Text), b.text(q.Unsent)
	}
	return &short, shortened
}

// bounder copies a value within the limits.
type bounder struct{ shortened bool }

// text is a text, or its beginning and how much follows.
func (b *bounder) text(s string) string {
	if len(s) <= maxPageText {
		return s
	}
	b.shortened = true
	n := maxPageText
	for n > maxPageText-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return fmt.Sprintf("%s… (%d octets more)", s[:n], len(s)-n)
}

func (b *bounder) value(v reflect.Value, depth int) reflect.Value {
	if depth > maxPageDepth {
		b.shortened = b.shortened || !v.IsZero()
		return reflect.Zero(v.Type())
	}
	switch v.Kind() {
	case reflect.String:
		return reflect.ValueOf(b.text(v.String())).Convert(v.Type())
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		p := reflect.New(v.Type().Elem())
		p.Elem().Set(b.value(v.Elem(), depth+1))
		return p
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		n := b.count(v.Len())
		if depth+1 > maxPageDepth && n > 0 { // none rather than empty ones
			b.shortened, n = true, 0
		}
		list := reflect.MakeSlice(v.Type(), n, n)
		for i := range n {
			list.Index(i).Set(b.value(v.Index(i), depth+1))
		}
		return list
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		m := reflect.MakeMap(v.Type())
		keys := v.MapKeys()
		slices.SortFunc(keys, func(x, y reflect.Value) int { return cmp.Compare(fmt.Sprint(x), fmt.Sprint(y)) })
		for _, key := range keys[:b.count(len(keys))] {
			m.SetMapIndex(b.value(key, depth+1), b.value(v.MapIndex(key), depth+1))
		}
		return m
	case reflect.Struct:
		s := reflect.New(v.Type()).Elem()
		s.Set(v)
		for i := range s.NumField() {
			if s.Field(i).CanSet() {
				s.Field(i).Set(b.value(v.Field(i), depth+1))
			}
		}
		return s
	}
	return v
}

// count is how many of n elements are shown.
func (b *bounder) count(n int) int {
	b.shortened = b.shortened || n > maxPageList
	return min(n, maxPageList)
}
