package schema

// File is a parsed text: its definitions in their order. Comments are not kept.
type File struct {
	Name        string
	Definitions []*Definition
}

// Definition gives a name to exactly one of an enum, a struct, or another type
// with its dimension (RFC 8446 section 3: "opaque Random[32];").
type Definition struct {
	Pos    Position // of the name
	Name   string
	Enum   *EnumDecl
	Struct *StructDecl
	Alias  *FieldDecl // its Name is the Definition's
}

// EnumDecl is an enum as it is written.
type EnumDecl struct {
	Pos     Position
	Members []Enumerator
}

// Enumerator is one name of an enum with its number or range of numbers. The
// Name is empty where a number has no name, which only forces the width.
// Value is nil for a name without a number.
type Enumerator struct {
	Pos   Position
	Name  string
	Value *Expr
	Last  *Expr // end of a range; nil for a single number
	TBD   bool  // printed as TBD: the number is not assigned yet
}

// StructDecl is a struct as it is written.
type StructDecl struct {
	Pos     Position
	Members []Member
}

// Member is one of a field and a select.
type Member struct {
	Field  *FieldDecl
	Select *SelectDecl
}

// FieldDecl is one field. At most one of Array, Ceiling and Constant is set.
type FieldDecl struct {
	Pos      Position // of the type
	Type     string
	Name     string // empty for an unnamed member of an arm
	Array    *Expr  // T name[Array]: octets, not elements
	Floor    *Expr  // T name<Floor..Ceiling>: octets, not elements
	Ceiling  *Expr
	Constant *Expr // T name = Constant
}

// SelectDecl is a select as it is written.
type SelectDecl struct {
	Pos   Position
	On    string // a field, a type, or an outer parameter such as Handshake.msg_type
	OnPos Position
	Arms  []Arm
	Label string // RFC 5246 section 4.6.1: the name after the closing brace
}

// Arm is the members that one or more cases select.
type Arm struct {
	Pos     Position
	Cases   []Case
	Members []Member
}

// Case is the name of an enumerator, or a number.
type Case struct {
	Pos    Position
	Name   string
	Number *Expr
}

// Expr is a number, a name, or two of them with an operator between.
type Expr struct {
	Pos  Position
	Op   byte   // '+', '-', '*' or '^'; 0 for a leaf
	X, Y *Expr  // operands
	Text string // of a leaf, as it was written
	Name bool   // the leaf is a name
	Num  uint64 // the leaf's number
}
