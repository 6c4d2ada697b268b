-- The rest of this file is the same for every profile: it interprets the compiled
-- profile above (docs/compiled-profile.md). It runs on Lua 5.2 (Wireshark 4.0) and
-- later, and knows TLS 1.3 only as far as it has to: Wireshark decrypts records and
-- assembles messages, this file opens what the profile adds to them.

local LIMIT = { values = 4096, items = 16384, fields = 3000, steps = 60000, depth = 40, text = 200, members = 64,
	nesting = 8, names = 1000, gap = 16, message = 262144 }

-- Texts -----------------------------------------------------------------------------

-- printable shows octets as text; what is not printable ASCII as \xNN.
local function printable(s)
	local cut = #s > LIMIT.text
	if cut then s = s:sub(1, LIMIT.text) end
	s = s:gsub("[^\32-\126]", function(c) return string.format("\\x%02x", c:byte()) end)
	if cut then s = s .. "…" end
	return s
end

-- abbreviation makes a part of a filter name.
local function abbreviation(s)
	s = s:sub(1, 64):gsub("[^%w_%-]", "_")
	if s == "" then return "_" end
	return s
end

local function hex(s)
	return (s:gsub(".", function(c) return string.format("%02x", c:byte()) end))
end

local function split(s, separator)
	local list, from = {}, 1
	while true do
		local at = s:find(separator, from, true)
		list[#list + 1] = s:sub(from, (at or 0) - 1)
		if not at then return list end
		from = at + 1
	end
end

-- The compiled profile --------------------------------------------------------------

local function text(field)
	if field == "%" then return "" end
	return (field:gsub("%%(%x%x)", function(h) return string.char(tonumber(h, 16)) end))
end

-- The document is a tree of {keys = names in order, at = name -> tree}, {text = t} and {list = texts}.
local function node(kind) return { kind = kind, keys = {}, at = {} } end

local document = node("map")
local types = {}

local function place(path, value)
	local parts = split(path, "/")
	local here = document
	for i = 1, #parts - 1 do here = here.at[text(parts[i])] end
	local name = text(parts[#parts])
	here.keys[#here.keys + 1] = name
	here.at[name] = value
end

local function dimension(fields, from)
	local word = fields[from]
	if word == "vector" then
		return { kind = "vector", floor = tonumber(fields[from + 1]), ceiling = tonumber(fields[from + 2]) }
	elseif word == "array" then
		local at = from
		local function operand()
			at = at + 1
			local w = fields[at]
			if w == "+" or w == "-" or w == "*" or w == "^" then
				return { op = w, x = operand(), y = operand() }
			elseif w:sub(1, 6) == "field." then
				return { field = w:sub(7) }
			end
			return { number = tonumber(w) }
		end
		return { kind = "array", length = operand() }
	elseif word == "constant" then
		return { kind = "constant", number = tonumber(fields[from + 1]) }
	end
	return { kind = "one" }
end

for line in COMPILED:gmatch("[^\n]+") do
	local f = split(line, " ")
	local word = f[1]
	local top = types.open and types.open[#types.open]
	if word == "map" then
		place(f[2], node("map"))
	elseif word == "key" then
		place(f[2], { kind = "key", text = text(f[3]) })
	elseif word == "list" then
		local list = {}
		for i = 3, #f do list[#list + 1] = text(f[i]) end
		place(f[2], { kind = "list", list = list })
	elseif word == "enum" then
		types.enum = { kind = "enum", width = tonumber(f[3]), names = {} }
		types[f[2] .. "!"] = types.enum
	elseif word == "enumerator" then
		local e = types.enum.names
		e[#e + 1] = { name = f[2], first = tonumber(f[3]), last = tonumber(f[4]) }
	elseif word == "alias" then
		types[f[2] .. "!"] = { kind = "alias", type = f[3], dimension = dimension(f, 4) }
	elseif word == "struct" then
		local s = { kind = "struct", members = {} }
		types[f[2] .. "!"] = s
		types.open = { s }
	elseif word == "field" then
		top.members[#top.members + 1] = { name = text(f[2]), type = f[3], dimension = dimension(f, 4) }
	elseif word == "select" then
		local s = { on = f[2], label = text(f[3]), arms = {}, select = true }
		top.members[#top.members + 1] = s
		types.open[#types.open + 1] = s
	elseif word == "arm" then
		if not top.select then
			types.open[#types.open] = nil
			top = types.open[#types.open]
		end
		local a = { cases = {}, members = {} }
		top.arms[#top.arms + 1] = a
		types.open[#types.open + 1] = a
	elseif word == "case" then
		top.cases[#top.cases + 1] = { name = f[2], first = tonumber(f[3]), last = tonumber(f[4]) }
	elseif word == "end" then
		if top.cases then types.open[#types.open] = nil end
		types.open[#types.open] = nil
	end
end

-- look finds a value of the document; nil where there is none.
local function look(...)
	local here = document
	for _, name in ipairs({ ... }) do
		here = here and here.at and here.at[name]
	end
	return here
end

local function lookText(...)
	local v = look(...)
	return v and v.text
end

local function keysOf(...)
	local v = look(...)
	return v and v.keys or {}
end

-- What the profile adds -------------------------------------------------------------

local NAMED = { [1] = "client_hello", [2] = "server_hello", [4] = "new_session_ticket", [8] = "encrypted_extensions",
	[11] = "certificate", [13] = "certificate_request", [17] = "client_certificate_request" }
local RETRY = "hello_retry_request"
local ROLES = { "client", "server" }

local extensions, added, alerts, certificateTypes = {}, {}, {}, {} -- by number

for _, name in ipairs(keysOf("code_points", "extensions")) do
	extensions[tonumber(lookText("code_points", "extensions", name))] = name
end
for _, name in ipairs(keysOf("code_points", "messages")) do
	added[tonumber(lookText("code_points", "messages", name))] = name
end
for _, name in ipairs(keysOf("code_points", "alerts")) do
	alerts[tonumber(lookText("code_points", "alerts", name))] = printable(name)
end
for _, name in ipairs(keysOf("code_points", "certificate_types")) do
	certificateTypes[tonumber(lookText("code_points", "certificate_types", name))] = printable(name)
end

-- bodyOf is the type of an extension in a message; nil where it has no place.
local function bodyOf(extension, message)
	if not look("extensions", extension, message) then return nil end
	return lookText("extensions", extension, message, "body") or lookText("extensions", extension, "body")
end

-- meanings[place .. "." .. path] lists what a field is: {means, slot}; place is
-- message.extension, or the name of an added message.
local meanings = {}
local function means(path, what, slot)
	if not path then return end
	meanings[path] = meanings[path] or {}
	local list = meanings[path]
	list[#list + 1] = { what = what, slot = slot }
end

local slots = keysOf("bind", "slots")
local flags = {} -- by number
for _, name in ipairs(keysOf("code_points", "flags")) do
	flags[tonumber(lookText("code_points", "flags", name))] = printable(name)
end
local wrapped = {} -- nonces in fields of RFCs: {slot, message, field, ...}
for _, slot in ipairs(slots) do
	means(lookText("bind", "slots", slot, "offer"), "offer", slot)
	means(lookText("bind", "slots", slot, "choice"), "choice", slot)
	if not look("bind", "slots", slot, "inside") then -- an object is shown as octets
		means(lookText("bind", "slots", slot, "carried_in"), "payload", slot)
	end
	local nonce = look("bind", "slots", slot, "nonce")
	if nonce and nonce.text then
		means(nonce.text, "nonce", slot)
	elseif nonce then
		local function part(k) return nonce.at[k] and nonce.at[k].text end
		local message, field = (part("in") or ""):match("^([%w_]+)%.([%w_]+)$")
		local before, after = (part("as") or "{nonce}"):match("^(.-){nonce}(.*)$")
		local most = (part("octets") or "0"):match("(%d+)$")
		wrapped[#wrapped + 1] = { slot = slot, message = message, field = field, before = before or "",
			after = after or "", codec = part("codec") or "raw", least = tonumber((part("octets") or "0"):match("^(%d+)")),
			most = tonumber(most), offset = tonumber(part("offset") or "0") }
	end
end
for _, kind in ipairs(keysOf("bind", "credentials")) do
	means(lookText("bind", "credentials", kind, "carried_in"), "payload", nil)
end

-- elementOf is the type of the elements of a list or of a choice.
local function schemeOf(typeName) return typeName and look("bind", "schemes", typeName) end

-- Fields ------------------------------------------------------------------------------

local attls = Proto("attls", "Attestation in TLS, " .. printable(lookText("profile") or ""))
local registered, count = {}, 0 -- abbreviation -> {kind = ProtoField}
local all = {}

-- register makes a field of a kind once; nil when there are too many.
local function register(abbr, name, kind, width, names)
	local key = kind .. (width or "")
	local known = registered[abbr]
	if known and known[key] then return known[key] end
	if count >= LIMIT.fields then return nil end
	local spelled = abbr
	if known then
		known.more = (known.more or 1) + 1
		spelled = abbr .. "_" .. known.more
		if registered[spelled] then return nil end
		registered[spelled] = {}
	else
		registered[abbr] = {}
		known = registered[abbr]
	end
	name = printable(name)
	if name == "" then name = spelled end
	local f
	if kind == "number" then
		if width == 1 then f = ProtoField.uint8(spelled, name, base.DEC, names)
		elseif width == 2 then f = ProtoField.uint16(spelled, name, base.DEC, names)
		elseif width == 3 then f = ProtoField.uint24(spelled, name, base.DEC, names)
		elseif width == 4 then f = ProtoField.uint32(spelled, name, base.DEC, names)
		else f = ProtoField.uint64(spelled, name, base.DEC) end
	elseif kind == "octets" then f = ProtoField.bytes(spelled, name)
	elseif kind == "text" then f = ProtoField.string(spelled, name)
	else f = ProtoField.none(spelled, name) end
	count = count + 1
	known[key] = f
	all[#all + 1] = f
	return f
end

local function valueNames(enum)
	local names, n = {}, 0
	for _, e in ipairs(enum.names) do
		for v = e.first, math.min(e.last, e.first + 15) do
			if n < 512 then
				names[v] = names[v] or printable(e.name)
				n = n + 1
			end
		end
	end
	return names
end

local BUILTIN = { uint8 = 1, uint16 = 2, uint24 = 3, uint32 = 4, uint64 = 8, opaque = 1 }

-- resolve follows aliases: the type that a field of a type and a dimension has.
local function resolve(name, d)
	for _ = 1, LIMIT.depth do
		local t = types[name .. "!"]
		if BUILTIN[name] and not t then
			return { kind = "number", width = BUILTIN[name], name = name }, d
		elseif not t then
			return nil
		elseif t.kind == "enum" then
			return { kind = "number", width = t.width, enum = t, name = name }, d
		elseif t.kind == "struct" then
			return { kind = "struct", struct = t, name = name }, d
		end
		if d.kind ~= "one" then -- a list of what an alias is
			return { kind = "alias", type = t.type, dimension = t.dimension, name = name }, d
		end
		name, d = t.type, t.dimension
	end
end

local function isOctets(name, d)
	return (name == "opaque" or name == "uint8") and (d.kind == "vector" or d.kind == "array")
end

-- decides says which arms a context may select; nil: it depends on the octets.
local function armsIn(s, context)
	local want
	if s.on == "Handshake.msg_type" then want = context.message
	elseif s.on == "ConnectionEnd" then want = context.sender
	elseif s.on == "ClientOrServerExtension" then want = context.message == "client_hello" and "client" or "server"
	else return s.arms end
	for _, a in ipairs(s.arms) do
		for _, c in ipairs(a.cases) do
			if c.name == want then return { a }, a end
		end
	end
	return {}, nil
end

local steps = 0
local describeType

local function describeField(name, typeName, d, prefix, context, depth)
	local t
	t, d = resolve(typeName, d)
	if not t then return end
	local abbr = prefix .. "." .. abbreviation(name)
	if isOctets(t.name, d) then
		register(abbr, name, "octets")
	elseif d.kind == "vector" or d.kind == "array" then
		register(abbr, name, "none")
		if t.kind == "alias" then describeField("item", t.type, t.dimension, abbr, context, depth + 1)
		elseif t.kind == "number" then describeType(t, abbr .. ".item", context, depth + 1, name)
		else describeType(t, abbr, context, depth + 1, name) end
	else
		if t.kind == "struct" then register(abbr, name, "none") end
		describeType(t, abbr, context, depth + 1, name)
	end
end

local function describeMembers(members, prefix, context, depth)
	steps = steps + 1
	if steps > LIMIT.steps or depth > LIMIT.depth then return end
	for _, m in ipairs(members) do
		if m.select then
			local inner = prefix
			if m.label ~= "" then
				inner = prefix .. "." .. abbreviation(m.label)
				register(inner, m.label, "none")
			end
			for _, a in ipairs((armsIn(m, context))) do
				local only = #a.members == 1 and not a.members[1].select and a.members[1]
				if m.label ~= "" and only and only.name == "" then
					describeField(m.label, only.type, only.dimension, prefix, context, depth + 1)
				end
				describeMembers(a.members, inner, context, depth + 1)
			end
		else
			local t = m.name == "" and resolve(m.type, m.dimension)
			if t and t.kind == "struct" and m.dimension.kind == "one" then
				describeMembers(t.struct.members, prefix, context, depth + 1)
			else
				describeField(m.name ~= "" and m.name or m.type, m.type, m.dimension, prefix, context, depth + 1)
			end
		end
	end
end

describeType = function(t, abbr, context, depth, name)
	if t.kind == "number" then
		register(abbr, name or t.name, "number", t.width, t.enum and valueNames(t.enum))
	elseif t.kind == "struct" then
		describeMembers(t.struct.members, abbr, context, depth)
	end
end

local function describeBody(typeName, name, message)
	local prefix = "attls." .. abbreviation(name)
	register(prefix, name, "none")
	if typeName == "opaque" then
		register(prefix .. ".octets", name, "octets")
		return
	end
	for _, sender in ipairs(ROLES) do
		local t = resolve(typeName, { kind = "one" })
		if t and t.kind == "struct" then
			describeType(t, prefix, { message = message, sender = sender }, 0, name)
		elseif t then
			describeField("value", typeName, { kind = "one" }, prefix, { message = message, sender = sender }, 0)
		end
	end
end

-- Fields of a fixed name come first, so that no name of the profile takes theirs.
local FIXED = {}
local function fixed(key, abbr, name, kind, width, names)
	FIXED[key] = register(abbr, name, kind, width, names)
end
fixed("message", "attls.message", "Message", "text")
fixed("sender", "attls.sender", "Sender", "text")
fixed("extension", "attls.extension", "Extension", "number", 2)
fixed("error", "attls.error", "Error", "text")
fixed("octets", "attls.octets", "Octets", "octets")
fixed("other", "attls.field", "Field", "octets")
fixed("alert", "attls.alert", "Alert of the profile", "number", 1, alerts)
fixed("certificate_type", "attls.certificate_type", "Certificate type of the profile", "number", 1, certificateTypes)
fixed("flag", "attls.flag", "TLS flag of the profile", "text")
fixed("payload", "attls.payload", "Payload", "octets")
fixed("payload_text", "attls.payload.text", "Payload in words", "text")
fixed("cmw_form", "attls.cmw.form", "Form", "text")
fixed("cmw_format", "attls.cmw.content_format", "Content format", "number", 2, MEDIA)
fixed("cmw_media", "attls.cmw.media_type", "Media type", "text")
fixed("cmw_ind", "attls.cmw.ind", "ind", "number", 4)
fixed("cmw_value", "attls.cmw.value", "Value", "octets")
fixed("cmw_label", "attls.cmw.label", "Label", "text")

local ofSlot = {}
for _, slot in ipairs(slots) do
	local prefix, f = "attls." .. abbreviation(slot), {}
	ofSlot[slot] = f
	for _, what in ipairs({ "offer", "choice" }) do
		f[what] = register(prefix .. "." .. what, slot .. " " .. what, "text")
		f[what .. "model"] = register(prefix .. "." .. what .. ".model", "Model", "text")
		f[what .. "credential"] = register(prefix .. "." .. what .. ".credential", "Credential", "text")
		f[what .. "format"] = register(prefix .. "." .. what .. ".format", "Format", "text")
		f[what .. "verifier"] = register(prefix .. "." .. what .. ".verifier", "Verifier", "text")
	end
	f.nonce = register(prefix .. ".nonce", slot .. " nonce", "octets")
	f.payload = register(prefix .. ".payload", slot .. " payload", "octets")
end

local certificateFields = {}
for _, name in ipairs(keysOf("x509")) do
	local x = { name = name, prefix = "attls.x509." .. abbreviation(name), parts = { "payload" } }
	local function part(k) return lookText("x509", name, k) end
	x.oid, x.dns, x.codec = part("oid"), part("dns_names"), part("codec") or "base32"
	x.digits = tonumber(part("digits") or "2")
	x.octetString = part("octet_string") == "true"
	x.tag = part("cbor_tag") and tonumber(part("cbor_tag"))
	local list = look("x509", name, "cbor_array")
	if list and list.list then x.parts, x.array = list.list, true
	elseif part("content") then x.parts = { part("content") } end
	register(x.prefix, name, "octets")
	x.fields = {}
	for i, p in ipairs(x.parts) do
		if p ~= "payload" then x.fields[i] = register(x.prefix .. "." .. abbreviation(p), p, "octets") end
	end
	if x.dns then x.text = register(x.prefix .. ".dns_name", name .. " name", "text") end
	certificateFields[#certificateFields + 1] = x
end

for _, name in pairs(extensions) do
	for _, message in ipairs(keysOf("extensions", name)) do
		local body = bodyOf(name, message)
		if body then describeBody(body, name, message) end
	end
end
for _, name in pairs(added) do
	local body = lookText("messages", name, "body")
	if body then describeBody(body, name, name) end
end

attls.fields = all

-- Reading ---------------------------------------------------------------------------

-- A message is {range = TvbRange, octets = string}; offsets count from 0.

local function fail(offset, format, ...)
	error({ offset = offset, text = string.format(format, ...) }, 0)
end

local function number(s, at, width)
	local n = 0
	for i = at + 1, at + width do n = n * 256 + s:byte(i) end
	return n
end

-- A reader goes through s from pos up to stop.
local function reader(s, pos, stop, context)
	return { s = s, pos = pos, stop = stop, context = context, left = LIMIT.values }
end

local function take(r, n, what)
	if r.stop - r.pos < n then
		fail(r.pos, "%s: %d octets where %d are needed", printable(what or "a value"), r.stop - r.pos, n)
	end
	local at = r.pos
	r.pos = at + n
	return at
end

local function takeNumber(r, width, what) return number(r.s, take(r, width, what), width) end

-- takeVector reads a length of so many octets and returns where the contents begin and end.
local function takeVector(r, width, what)
	local n = takeNumber(r, width, what)
	local at = take(r, n, what)
	return at, at + n
end

local function prefixWidth(ceiling)
	local width = 1
	while ceiling >= 256 ^ width do width = width + 1 end
	return width
end

local function lengthOf(e, scope)
	if e.number then return e.number end
	if e.field then
		for i = #scope, 1, -1 do
			if scope[i].name == e.field then return scope[i].number end
		end
		return nil
	end
	local x, y = lengthOf(e.x, scope), lengthOf(e.y, scope)
	if not x or not y then return nil end
	local v
	if e.op == "+" then v = x + y elseif e.op == "-" then v = x - y
	elseif e.op == "*" then v = x * y else v = x ^ y end
	if v ~= v or v < 0 or v > 2 ^ 53 then return nil end
	return v
end

local readMembers

-- value makes a value: {name, kind, from, to (of the contents), begin (of the whole), items, number, type}.
local function value(r, name, kind, begin)
	r.left = r.left - 1
	if r.left < 0 then fail(begin, "more fields and elements than are read") end
	return { name = name, kind = kind, begin = begin, from = begin, to = begin, items = {} }
end

local readField

local function readOne(r, t, name, depth)
	if depth > LIMIT.depth then fail(r.pos, "nested too deep") end
	local v = value(r, name, t.kind, r.pos)
	v.type = t.name
	if t.kind == "number" then
		v.number, v.width, v.enum = takeNumber(r, t.width, name), t.width, t.enum
	elseif t.kind == "alias" then
		r.left = r.left + 1
		return readField(r, name, t.type, t.dimension, {}, depth + 1)
	else
		readMembers(r, t.struct.members, v.items, {}, depth + 1)
	end
	v.to = r.pos
	return v
end

readField = function(r, name, typeName, d, scope, depth)
	local t
	t, d = resolve(typeName, d)
	if not t then fail(r.pos, "the type %s is not known", printable(typeName)) end
	if d.kind == "one" then return readOne(r, t, name, depth) end
	if d.kind == "constant" then
		local v = readOne(r, t, name, depth)
		if v.number ~= d.number then fail(v.begin, "%s is %d instead of %d", printable(name), v.number, d.number) end
		return v
	end
	local begin, size = r.pos, nil
	if d.kind == "vector" then
		size = takeNumber(r, prefixWidth(d.ceiling), name)
		if size < d.floor or size > d.ceiling then
			fail(begin, "%s: %d octets; %d to %d are allowed", printable(name), size, d.floor, d.ceiling)
		end
	else
		size = lengthOf(d.length, scope)
		if not size or size > 2 ^ 24 then fail(begin, "%s: the length is not possible", printable(name)) end
	end
	local v = value(r, name, isOctets(t.name, d) and "octets" or "list", begin)
	v.from = take(r, size, name)
	v.to, v.type = v.from + size, t.name
	if v.kind == "list" then
		local outer = r.stop
		r.stop, r.pos = v.to, v.from
		while r.pos < r.stop do
			local before = r.pos
			v.items[#v.items + 1] = readOne(r, t, nil, depth + 1)
			if r.pos == before then fail(before, "%s: an element without octets", printable(name)) end
		end
		r.stop, r.pos = outer, v.to
	end
	return v
end

local function armFor(r, s, scope)
	if s.on:sub(1, 6) ~= "field." then
		local _, a = armsIn(s, r.context)
		if not a then fail(r.pos, "nothing is placed here") end
		return a
	end
	local name = s.on:sub(7)
	for i = #scope, 1, -1 do
		if scope[i].name == name or scope[i].type == name and scope[i].unnamed then
			for _, a in ipairs(s.arms) do
				for _, c in ipairs(a.cases) do
					if c.first and scope[i].number >= c.first and scope[i].number <= c.last then return a end
				end
			end
			fail(scope[i].begin, "%s is %d, and no case is for it", printable(name), scope[i].number)
		end
	end
	fail(r.pos, "%s is not known", printable(name))
end

readMembers = function(r, members, out, scope, depth)
	if depth > LIMIT.depth then fail(r.pos, "nested too deep") end
	for _, m in ipairs(members) do
		if m.select then
			local a = armFor(r, m, scope)
			local outside = #scope
			if m.label == "" then
				readMembers(r, a.members, out, scope, depth + 1)
			else
				local only = #a.members == 1 and not a.members[1].select and a.members[1]
				local t = only and only.name == "" and resolve(only.type, only.dimension)
				if t and (t.kind ~= "struct" or only.dimension.kind ~= "one") then
					out[#out + 1] = readField(r, m.label, only.type, only.dimension, scope, depth + 1)
				else
					local v = value(r, m.label, "struct", r.pos)
					readMembers(r, a.members, v.items, scope, depth + 1)
					v.to = r.pos
					out[#out + 1] = v
				end
			end
			for i = #scope, outside + 1, -1 do scope[i] = nil end
		else
			local t = m.name == "" and resolve(m.type, m.dimension)
			if t and t.kind == "struct" and m.dimension.kind == "one" then
				value(r, nil, "struct", r.pos) -- counts
				readMembers(r, t.struct.members, out, {}, depth + 1)
			else
				local v = readField(r, m.name ~= "" and m.name or m.type, m.type, m.dimension, scope, depth + 1)
				out[#out + 1] = v
				if v.kind == "number" then
					scope[#scope + 1] = { name = v.name, number = v.number, begin = v.begin, type = m.type,
						unnamed = m.name == "" }
				end
			end
		end
	end
end

-- read reads a body of a type up to stop. The result has a field rest: where reading ended.
local function read(s, from, stop, typeName, context)
	local r = reader(s, from, stop, context)
	local v
	if typeName == "opaque" then
		v = value(r, nil, "octets", from)
		v.to, r.pos = stop, stop
	else
		local t, d = resolve(typeName, { kind = "one" })
		if t and t.kind == "struct" then v = readOne(r, t, nil, 0)
		else
			v = value(r, nil, "struct", from)
			v.items[1] = readField(r, "value", typeName, { kind = "one" }, {}, 0)
			v.to = r.pos
		end
	end
	v.rest = r.pos
	return v
end

-- find is the field of a path in a value; "" is the value itself.
local function find(v, path)
	if path == "" or path == "self" then return v end
	for _, name in ipairs(split(path, ".")) do
		local inner
		for _, item in ipairs(v.items) do
			if item.name == name then inner = item end
		end
		if not inner then return nil end
		v = inner
	end
	return v
end

-- Schemes -----------------------------------------------------------------------------

local function enumerator(v)
	for _, e in ipairs(v.enum and v.enum.names or {}) do
		if v.number >= e.first and v.number <= e.last then return e.name end
	end
end

local function told(v, rule, fallback)
	if not rule then return fallback end
	if rule.text then return rule.text end
	local field = rule.at.field and find(v, rule.at.field.text)
	local name = field and enumerator(field)
	return name and rule.at[name] and rule.at[name].text or fallback
end

local function formatText(f)
	if type(f) == "number" then
		if MEDIA[f] then return string.format("content format %d (%s)", f, MEDIA[f]) end
		return string.format("content format %d", f)
	end
	return printable(f)
end

-- scheme puts an element into words.
local function scheme(s, v)
	local rules = schemeOf(v.type)
	if not rules then return nil end
	local model = told(v, rules.at.model, "evidence")
	if model == "any" then model = "evidence" end
	local out = { model = model, credential = told(v, rules.at.credential, "alone") }
	if out.credential == "alone" then out.credential = "attestation" end
	local verifier = rules.at.verifier and find(v, rules.at.verifier.text)
	if verifier and verifier.kind == "octets" then
		local id = s:sub(verifier.from + 1, verifier.to)
		if id:find("[^\32-\126]") then
			out.verifier = "0x" .. hex(id:sub(1, LIMIT.text))
		else
			out.verifier = '"' .. printable(id:gsub('[\\"]', "\\%0")) .. '"'
		end
	end
	local format = 0
	for _, path in ipairs(rules.at.format and rules.at.format.list or {}) do
		local f = find(v, path)
		if f and f.kind == "number" then
			format = f.number
			if rules.at.formats then
				local own = rules.at.formats.at[enumerator(f) or ""] or rules.at.formats.at[tostring(f.number)]
				format = own and own.list and own.list[1] or 0
				format = tonumber(format) or format
			end
		elseif f and f.kind == "octets" and f.to > f.from then
			format = s:sub(f.from + 1, f.to)
		end
	end
	out.format = formatText(format)
	local last = out.format
	if model == "results" then
		out.format = nil
		last = "verifier " .. (out.verifier or '""')
	else
		out.verifier = nil
	end
	out.text = out.model .. ", " .. out.credential .. ", " .. last
	return out
end

-- Conceptual Message Wrappers (RFC 9999) ----------------------------------------------

local function cborHead(r)
	local at = take(r, 1, "CBOR")
	local first = r.s:byte(at + 1)
	local major, info = math.floor(first / 32), first % 32
	if info < 24 then return major, info, at
	elseif info < 28 then return major, takeNumber(r, 2 ^ (info - 24), "CBOR"), at
	elseif info == 31 and major >= 2 and major <= 5 then return major, nil, at
	elseif info == 31 and major == 7 then return 7, "break", at end
	fail(at, "not CBOR")
end

local function cborString(r, want)
	local major, n, at = cborHead(r)
	if major ~= want then fail(at, "not the string that belongs here") end
	if n then
		local from = take(r, n, "CBOR")
		return { begin = at, from = from, to = from + n, size = n }
	end
	local size, octets = 0, {}
	local first = r.pos
	while true do
		if r.s:byte(r.pos + 1) == 255 then
			local last = r.pos
			take(r, 1)
			return { begin = at, from = first, to = last, size = size, octets = table.concat(octets) }
		end
		local inner, length, where = cborHead(r)
		if inner ~= want or not length then fail(where, "not a piece of a string") end
		local from = take(r, length, "CBOR")
		octets[#octets + 1] = r.s:sub(from + 1, from + length)
		size = size + length
	end
end

local function ofString(r, v) return v.octets or r.s:sub(v.from + 1, v.to) end

-- eachOf goes through an array or the pairs of a map.
local function eachOf(r, n, f)
	local i = 0
	while true do
		if n and i == n then return i end
		if not n and r.s:byte(r.pos + 1) == 255 then
			take(r, 1)
			return i
		end
		i = i + 1
		f(i)
	end
end

local TAG = 1668546817 -- tag of content format 0 (RFC 9277 section 4.3)

local cborCMW
cborCMW = function(r, depth)
	local major, n, at = cborHead(r)
	local c = { begin = at }
	if major == 4 then
		c.form = "CBOR record"
		local total = eachOf(r, n, function(i)
			if i == 1 then
				local first = r.s:byte(r.pos + 1) or 0
				if first >= 96 and first < 128 then
					local v = cborString(r, 3)
					c.type, c.typeAt = ofString(r, v), v
				else
					local m, number, where = cborHead(r)
					if m ~= 0 or number > 65535 then fail(where, "not a content format") end
					c.type, c.typeAt = number, { from = where, to = r.pos }
				end
			elseif i == 2 then c.value = cborString(r, 2)
			elseif i == 3 then
				local m, number, where = cborHead(r)
				if m ~= 0 or number == 0 or number > 4294967295 then fail(where, "not an indicator") end
				c.ind, c.indAt = number, { from = where, to = r.pos }
			else fail(r.pos, "a record of too many elements") end
		end)
		if total < 2 then fail(at, "a record of too few elements") end
	elseif major == 6 then
		c.form = "CBOR tag"
		local over = n - TAG
		if over >= 0 and over % 256 < 255 and over < 65279 then
			c.type = math.floor(over / 256) * 255 + over % 256
		end
		if not c.type then fail(at, "not the tag of a content format") end
		c.typeAt = { from = at, to = r.pos }
		c.value = cborString(r, 2)
	elseif major == 5 then
		c.form, c.members = "CBOR collection", {}
		if depth >= LIMIT.nesting then fail(at, "collections nested too deep") end
		eachOf(r, n, function(i)
			if i > LIMIT.members then fail(at, "a collection of too many members") end
			local first, label = r.s:byte(r.pos + 1) or 0, nil
			local from = r.pos
			if first >= 96 and first < 128 then
				label = ofString(r, cborString(r, 3))
			else
				local m, number = cborHead(r)
				if m == 1 then number = -1 - number elseif m ~= 0 then fail(from, "not a label") end
				label = string.format("%.0f", number)
			end
			if label == "__cmwc_t" then cborString(r, 3)
			else
				local inner = cborCMW(r, depth + 1)
				inner.label, inner.labelAt = label, { from = from, to = inner.begin }
				c.members[#c.members + 1] = inner
			end
		end)
		if #c.members == 0 then fail(at, "a collection without a member") end
	else
		fail(at, "not a CMW")
	end
	c.stop = r.pos
	return c
end

local function blank(r)
	while r.pos < r.stop and r.s:sub(r.pos + 1, r.pos + 1):find("[ \t\r\n]") do r.pos = r.pos + 1 end
end

local function jsonNext(r, want)
	blank(r)
	local at = take(r, 1, "JSON")
	local c = r.s:sub(at + 1, at + 1)
	if want and c ~= want then fail(at, "not the JSON that belongs here") end
	return c, at
end

local UNESCAPED = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function jsonString(r)
	local _, at = jsonNext(r, '"')
	local from, stop = r.pos, r.pos
	while true do
		stop = r.s:find('["\\]', stop + 1)
		if not stop or stop > r.stop then fail(at, "a string without an end") end
		if r.s:sub(stop, stop) == '"' then break end
		stop = stop + 1
	end
	r.pos = stop
	local t = r.s:sub(from + 1, stop - 1):gsub("\\(.)", function(c) return UNESCAPED[c] or c end)
	return { from = from, to = stop - 1, text = t }
end

local jsonCMW
jsonCMW = function(r, depth)
	local first, at = jsonNext(r)
	local c = { begin = at }
	if first == "[" then
		c.form = "JSON record"
		local v = jsonString(r)
		c.type, c.typeAt = v.text, v
		jsonNext(r, ",")
		c.value = jsonString(r)
		if c.value.text:find("[^%w_%-]") or c.value.text == "" then fail(c.value.from, "not base64url") end
		c.value.size = math.floor(#c.value.text * 3 / 4)
		local next = jsonNext(r)
		if next == "," then
			blank(r)
			local digits = r.s:match("^%d+", r.pos + 1)
			if not digits or #digits > 10 then fail(r.pos, "not an indicator") end
			c.ind, c.indAt = tonumber(digits), { from = r.pos, to = r.pos + #digits }
			r.pos = r.pos + #digits
			next = jsonNext(r)
		end
		if next ~= "]" then fail(r.pos - 1, "not the end of a record") end
	elseif first == "{" then
		c.form, c.members = "JSON collection", {}
		if depth >= LIMIT.nesting then fail(at, "collections nested too deep") end
		for i = 1, LIMIT.members + 1 do
			if i > LIMIT.members then fail(at, "a collection of too many members") end
			local label = jsonString(r)
			jsonNext(r, ":")
			if label.text == "__cmwc_t" then jsonString(r)
			else
				local inner = jsonCMW(r, depth + 1)
				inner.label, inner.labelAt = label.text, label
				c.members[#c.members + 1] = inner
			end
			local next = jsonNext(r)
			if next == "}" then break elseif next ~= "," then fail(r.pos - 1, "not the end of a collection") end
		end
		if #c.members == 0 then fail(at, "a collection without a member") end
	else
		fail(at, "not a CMW")
	end
	c.stop = r.pos
	return c
end

-- openCMW reads a CMW; nil when the octets are none.
local function openCMW(s, from, to)
	if to == from or to - from > 65536 then return nil end
	local first = s:sub(from + 1, to):match("^[ \t\r\n]*([%[{])")
	local ok, c = pcall(function()
		local r = reader(s, from, to, {})
		local c
		if first then
			c = jsonCMW(r, 0)
			blank(r)
		else
			c = cborCMW(r, 0)
		end
		if r.pos ~= to then fail(r.pos, "octets follow") end
		return c
	end)
	if ok then return c end
	return nil
end

local function typeText(t)
	if type(t) == "number" then return formatText(t) end
	return printable(t)
end

local function cmwText(c)
	if not c.members then
		return string.format("%s of %s, %d octets", c.form, typeText(c.type), c.value.size)
	end
	local list = {}
	for _, m in ipairs(c.members) do list[#list + 1] = printable(m.label) .. ": " .. cmwText(m) end
	return c.form .. " (" .. table.concat(list, "; ") .. ")"
end

-- Trees -----------------------------------------------------------------------------

local budget = 0 -- tree items that may still be made for this frame

local function spend()
	budget = budget - 1
	if budget < 0 then fail(0, "more fields than are shown") end
end

-- rangeOf is a range of a message; at its end where it would be empty.
local function rangeOf(m, from, to)
	if to > from then return m.range(from, to - from) end
	return m.range(math.min(from, math.max(0, #m.octets - 1)), 0)
end

local function addText(tree, field, m, from, to, s)
	spend()
	if field then return tree:add(field, rangeOf(m, from, to), printable(s)) end
end

local function addOctets(tree, field, m, from, to)
	spend()
	if field then return tree:add(field, rangeOf(m, from, to)) end
end

local function addNumber(tree, field, m, from, to, n)
	spend()
	if field then return tree:add(field, rangeOf(m, from, to), n) end
end

local function showCMW(tree, m, c)
	if c.label then
		local item = addText(tree, FIXED.cmw_label, m, c.labelAt.from, c.labelAt.to, c.label)
		tree = item or tree
	end
	addText(tree, FIXED.cmw_form, m, c.begin, c.stop, c.form)
	if c.members then
		for _, inner in ipairs(c.members) do showCMW(tree, m, inner) end
		return
	end
	if type(c.type) == "number" then
		addNumber(tree, FIXED.cmw_format, m, c.typeAt.from, c.typeAt.to, c.type)
	else
		addText(tree, FIXED.cmw_media, m, c.typeAt.from, c.typeAt.to, c.type)
	end
	if c.ind then addNumber(tree, FIXED.cmw_ind, m, c.indAt.from, c.indAt.to, c.ind) end
	addOctets(tree, FIXED.cmw_value, m, c.value.from, c.value.to)
end

local function showPayload(tree, m, from, to, slot)
	local item = addOctets(tree, slot and ofSlot[slot].payload or FIXED.payload, m, from, to) or tree
	local c = openCMW(m.octets, from, to)
	if not c then
		addText(item, FIXED.payload_text, m, from, to, string.format("%d octets", to - from))
		return
	end
	addText(item, FIXED.payload_text, m, from, to, string.format("CMW, %d octets: %s", to - from, cmwText(c)))
	showCMW(item, m, c)
end

local function showScheme(tree, m, slot, what, v)
	local words = scheme(m.octets, v)
	if not words then return end
	local f = ofSlot[slot]
	local item = addText(tree, f[what], m, v.begin, v.to, words.text)
	if not item then return end
	for _, part in ipairs({ "model", "credential", "format", "verifier" }) do
		if words[part] then addText(item, f[what .. part], m, v.begin, v.to, words[part]) end
	end
end

-- ofPeer reports whether a slot behind the handshake is that of the other end: both have one place.
local function ofPeer(slot, m)
	return slot and (lookText("bind", "slots", slot, "phase") or "handshake") ~= "handshake" and
		lookText("bind", "slots", slot, "attester") ~= m.sender
end

-- carrierOf is the meaning as which a payload is shown, once: that of the handshake where slots
-- behind it have the same place.
local function carrierOf(m, list)
	local found
	for _, x in ipairs(list) do
		if x.what == "payload" and not ofPeer(x.slot, m) and (not found or not x.slot) then found = x end
	end
	return found
end

-- showMeaning says what a field is to attestation.
local function showMeaning(tree, m, v, list)
	local carrier = carrierOf(m, list)
	for _, x in ipairs(list) do
		if x.what == "nonce" and v.kind == "octets" then
			addOctets(tree, ofSlot[x.slot].nonce, m, v.from, v.to)
		elseif x == carrier and v.kind == "octets" then
			if v.to > v.from or #list == 1 then showPayload(tree, m, v.from, v.to, x.slot) end
		elseif x.what == "offer" and v.kind == "list" then
			for _, item in ipairs(v.items) do showScheme(tree, m, x.slot, "offer", item) end
			if #v.items == 0 then addText(tree, ofSlot[x.slot].offer, m, v.from, v.to, "none") end
		elseif x.what == "offer" and lookText("bind", "slots", x.slot, "phase") == "authenticator" then
			local who = lookText("bind", "slots", x.slot, "attester") or ""
			addText(tree, ofSlot[x.slot].offer, m, v.begin, v.to, "the " .. who .. " is to attest")
		elseif x.what == "choice" then
			if v.kind == "list" then v = v.items[1] end
			if v then showScheme(tree, m, x.slot, "choice", v) end
		end
	end
end

local function showValue(tree, m, v, abbr)
	local known, field = registered[abbr], nil
	local kind = v.kind
	if kind == "number" then kind = "number" .. v.width elseif kind ~= "octets" then kind = "none" end
	field = known and known[kind]
	local item
	if v.kind == "number" then
		if v.width == 8 then
			spend()
			if field then item = tree:add(field, rangeOf(m, v.begin, v.to)) end
		else
			item = addNumber(tree, field, m, v.begin, v.to, v.number)
		end
		if not item then addOctets(tree, FIXED.other, m, v.begin, v.to) end
	elseif v.kind == "octets" then
		item = addOctets(tree, field or FIXED.other, m, v.from, v.to)
	else
		item = tree
		if field then
			spend()
			item = tree:add(field, rangeOf(m, v.begin, v.to))
		end
		for _, inner in ipairs(v.items) do
			local path = abbr
			if v.kind ~= "list" then path = abbr .. "." .. abbreviation(inner.name or "")
			elseif inner.kind ~= "struct" then path = abbr .. ".item" end
			showValue(item, m, inner, path)
		end
	end
end

-- showBody shows an extension or an added message. place is message.extension or the name of the message.
local function showBody(tree, m, from, stop, typeName, name, place, context, heading)
	local abbr = "attls." .. abbreviation(name)
	spend()
	local item = tree:add(registered[abbr] and registered[abbr].none or FIXED.octets, rangeOf(m, from, stop))
	item:set_text(heading)
	local ok, v = pcall(read, m.octets, from, stop, typeName, context)
	if not ok then
		local text = type(v) == "table" and v.text or tostring(v)
		addText(item, FIXED.error, m, from, stop, "does not parse: " .. text)
		return item
	end
	if typeName == "opaque" then
		addOctets(item, registered[abbr .. ".octets"] and registered[abbr .. ".octets"].octets, m, from, stop)
	else
		for _, inner in ipairs(v.items) do showValue(item, m, inner, abbr .. "." .. abbreviation(inner.name or "")) end
	end
	if v.rest < stop then
		addText(item, FIXED.error, m, v.rest, stop, string.format("%d octets left over", stop - v.rest))
		if lookText("extensions", name, context.message, "trailing_octets") ~= "ignore" then return item end
	end
	for path, list in pairs(meanings) do
		if path == place then
			showMeaning(item, m, v, list)
		elseif path:sub(1, #place + 1) == place .. "." then
			local field = find(v, path:sub(#place + 2))
			if field then showMeaning(item, m, field, list) end
		end
	end
	return item
end

-- Nonces in fields of RFCs -----------------------------------------------------------

local ALPHABETS = {
	base32 = { bits = 5, digits = "abcdefghijklmnopqrstuvwxyz234567" },
	hex = { bits = 4, digits = "0123456789abcdef" },
	base64 = { bits = 6, digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" },
	base64url = { bits = 6, digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" },
}

-- fromText decodes the digits of a codec; nil where they are not that.
local function fromText(codec, t)
	local a = ALPHABETS[codec]
	if codec == "base64" then t = t:gsub("=+$", "") end
	local out, have, n = {}, 0, 0
	for i = 1, #t do
		local v = a.digits:find(t:sub(i, i), 1, true)
		if not v then return nil end
		n, have = n * 2 ^ a.bits + v - 1, have + a.bits
		if have >= 8 then
			local rest = 2 ^ (have - 8)
			out[#out + 1] = string.char(math.floor(n / rest))
			n, have = n % rest, have - 8
		end
	end
	return table.concat(out)
end

-- asMessage makes octets that are nowhere in the capture something that trees can show.
local function asMessage(octets, name)
	local whole = ByteArray.new(hex(octets)):tvb(name)
	return { range = whole(), octets = octets }
end

-- showWrapped shows a nonce in octets from..to, which are a value of the field.
local function showWrapped(tree, m, w, from, to)
	local s = m.octets:sub(from + 1, to)
	if #s < #w.before + #w.after or s:sub(1, #w.before) ~= w.before or s:sub(#s - #w.after + 1) ~= w.after then return end
	local inner = s:sub(#w.before + 1, #s - #w.after)
	if w.codec ~= "raw" then inner = fromText(w.codec, inner) end
	if not inner or #inner < w.least or #inner > w.most or inner == "" then return end
	if w.codec == "raw" then
		addOctets(tree, ofSlot[w.slot].nonce, m, from + #w.before, to - #w.after)
	else
		addOctets(tree, ofSlot[w.slot].nonce, asMessage(inner, "nonce of " .. printable(w.slot)), 0, #inner)
	end
end

local function vectorsIn(s, from, stop, width, f)
	local r = reader(s, from, stop, {})
	for _ = 1, LIMIT.names do
		if r.pos >= r.stop then return end
		f(takeVector(r, width))
	end
end

-- The template of a name is attributes with commas between; the one with the nonce counts.
local function derHead(s, at, stop)
	if stop - at < 2 then return nil end
	local tag, n = s:byte(at + 1), s:byte(at + 2)
	local from = at + 2
	if n >= 128 then
		local width = n - 128
		if width < 1 or width > 4 or stop - from < width then return nil end
		n = number(s, from, width)
		from = from + width
	end
	if stop - from < n then return nil end
	return tag, from, from + n
end

local function nameText(w)
	for _, part in ipairs(split(w.before .. "\0" .. w.after, ",")) do
		local before, after = part:match("^[^=]*=(.-)%z(.*)$")
		if before then return before, after end
	end
	return "", ""
end

local EXTENSION_NUMBER = { server_name = 0, application_layer_protocol_negotiation = 16, certificate_authorities = 47 }

local function showNonces(tree, m, message, number, from, stop)
	for _, w in ipairs(wrapped) do
		if w.message == message and EXTENSION_NUMBER[w.field] == number then
			pcall(function()
				local r = reader(m.octets, from, stop, {})
				local inner, last = takeVector(r, 2)
				if w.field == "server_name" then
					local names = reader(m.octets, inner, last, {})
					take(names, 1)
					local a, b = takeVector(names, 2)
					showWrapped(tree, m, w, a, b)
				elseif w.field == "application_layer_protocol_negotiation" then
					vectorsIn(m.octets, inner, last, 1, function(a, b) showWrapped(tree, m, w, a, b) end)
				else
					local before, after = nameText(w)
					local rule = setmetatable({ before = before, after = after }, { __index = w })
					vectorsIn(m.octets, inner, last, 2, function(a, b)
						local tag, at, to = derHead(m.octets, a, b)
						while tag and at < to do -- SET of one SEQUENCE {type, value}
							local _, set, setEnd = derHead(m.octets, at, to)
							if not set then return end
							local _, seq, seqEnd = derHead(m.octets, set, setEnd)
							if not seq then return end
							local _, _, oidEnd = derHead(m.octets, seq, seqEnd)
							if not oidEnd then return end
							local _, x, y = derHead(m.octets, oidEnd, seqEnd)
							if x then showWrapped(tree, m, rule, x, y) end
							at = setEnd
						end
					end)
				end
			end)
		end
	end
end

-- Certificates ------------------------------------------------------------------------

local function derObject(dotted)
	local arcs = {}
	for a in dotted:gmatch("%d+") do arcs[#arcs + 1] = tonumber(a) end
	local out = {}
	local function arc(n)
		local digits = { string.char(n % 128) }
		n = math.floor(n / 128)
		while n > 0 do
			table.insert(digits, 1, string.char(128 + n % 128))
			n = math.floor(n / 128)
		end
		out[#out + 1] = table.concat(digits)
	end
	arc((arcs[1] or 0) * 40 + (arcs[2] or 0))
	for i = 3, #arcs do arc(arcs[i]) end
	return table.concat(out)
end

for _, x in ipairs(certificateFields) do x.der = x.oid and derObject(x.oid) end
local SUBJECT_ALT_NAME = derObject("2.5.29.17")

-- extensionsOf calls f for each extension of a certificate: its identifier and its value.
local function extensionsOf(s, from, stop, f)
	local tag, at, to = derHead(s, from, stop)
	if tag ~= 48 then return end
	tag, at, to = derHead(s, at, to)
	if tag ~= 48 then return end
	for _ = 1, 16 do
		local t, a, b = derHead(s, at, to)
		if not t then return end
		if t == 163 then -- [3]
			local _, x, y = derHead(s, a, b)
			for _ = 1, LIMIT.members do
				if not x or x >= y then return end
				local _, inner, last = derHead(s, x, y)
				if not inner then return end
				local kind, o, p = derHead(s, inner, last)
				if kind ~= 6 then return end
				local next, v, w = derHead(s, p, last)
				if next == 1 then next, v, w = derHead(s, w, last) end
				if next == 4 then f(s:sub(o + 1, p), v, w) end
				x = last
			end
			return
		end
		at = b
	end
end

local function showField(tree, m, x, from, to)
	local item = addOctets(tree, registered[x.prefix].octets, m, from, to) or tree
	if x.octetString then
		local tag, a, b = derHead(m.octets, from, to)
		if tag ~= 4 then return end
		from, to = a, b
	end
	local parts = {}
	if x.tag or x.array then
		local r = reader(m.octets, from, to, {})
		if x.tag then
			local major, n = cborHead(r)
			if major ~= 6 or n ~= x.tag then return end
		end
		local n = 1
		if x.array then
			local major, length = cborHead(r)
			if major ~= 4 or length ~= #x.parts then return end
			n = length
		end
		for i = 1, n do parts[i] = cborString(r, 2) end
	else
		parts[1] = { from = from, to = to }
	end
	for i, part in ipairs(parts) do
		if x.parts[i] == "payload" then showPayload(item, m, part.from, part.to, nil)
		else addOctets(item, x.fields[i], m, part.from, part.to) end
	end
end

-- showNames puts together what is in DNS names, by their numbers.
local function showNames(tree, x, labels)
	local list = {}
	for i = 0, LIMIT.names do
		if not labels[i] then break end
		list[#list + 1] = labels[i]
	end
	local octets = fromText(x.codec, table.concat(list))
	if not octets or octets == "" or x.parts[1] ~= "payload" then return end
	showPayload(tree, asMessage(octets, "DNS names of " .. printable(x.name)), 0, #octets, nil)
end

local function showCertificate(tree, m, from, to)
	pcall(function()
		extensionsOf(m.octets, from, to, function(object, a, b)
			for _, x in ipairs(certificateFields) do
				if x.der == object then showField(tree, m, x, a, b) end
				if x.dns and object == SUBJECT_ALT_NAME then
					local tag, at, stop = derHead(m.octets, a, b)
					local labels = {}
					for _ = 1, LIMIT.names do
						if tag ~= 48 or at >= stop then break end
						local kind, u, v = derHead(m.octets, at, stop)
						if not kind then break end
						local name = m.octets:sub(u + 1, v):lower()
						local label, suffix = name:match("^([^.]*)%.(.*)$")
						if kind == 130 and suffix == x.dns and label:sub(1, x.digits):find("^%d+$") then
							addText(tree, x.text, m, u, v, name)
							labels[tonumber(label:sub(1, x.digits))] = label:sub(x.digits + 1)
						end
						at = v
					end
					showNames(tree, x, labels)
				end
			end
		end)
	end)
end

-- Messages ------------------------------------------------------------------------------

local HELLO_RETRY = "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"
local streams = {} -- by number: {client = address, v13 = boolean}

function attls.init() streams = {} end

local function showExtensions(tree, m, from, stop, message, sender)
	local r = reader(m.octets, from, stop, {})
	for _ = 1, LIMIT.names do
		if r.pos >= r.stop then return end
		local begin = r.pos
		local kind = takeNumber(r, 2, "extensions")
		local a, b = takeVector(r, 2, "extensions")
		local name = extensions[kind]
		if name then
			local context = { message = message, sender = sender }
			local heading = string.format("%s (0x%04x) in %s, %d octets", printable(name), kind, message, b - a)
			local body = bodyOf(name, message)
			if body then
				local item = showBody(tree, m, a, b, body, name, message .. "." .. name, context, heading)
				addNumber(item, FIXED.extension, m, begin, begin + 2, kind)
				addText(item, FIXED.message, m, begin, begin + 2, message)
				addText(item, FIXED.sender, m, begin, begin + 2, sender)
			else
				addText(tree, FIXED.error, m, begin, b, heading .. ": it has no place in this message")
			end
		elseif kind == 62 and next(flags) then -- tls_flags (RFC 9851): bit n of octet m is flag 8 m + n
			local x, y = takeVector(reader(m.octets, a, b, {}), 1, "tls_flags")
			for at = x, y - 1 do
				for bit = 0, 7 do
					local name = flags[(at - x) * 8 + bit]
					if name and math.floor(m.octets:byte(at + 1) / 2 ^ bit) % 2 == 1 then
						addText(tree, FIXED.flag, m, at, at + 1, name)
					end
				end
			end
		elseif kind == 19 or kind == 20 then
			local x, y = a, b
			if message == "client_hello" and b > a then x = a + 1 end
			for at = x, math.min(y, x + LIMIT.members) - 1 do
				local t = m.octets:byte(at + 1)
				if certificateTypes[t] then addNumber(tree, FIXED.certificate_type, m, at, at + 1, t) end
			end
		end
		showNonces(tree, m, message, kind, a, b)
	end
end

-- showCertificates shows the body of a Certificate.
local function showCertificates(tree, m, r, message, sender)
	local s = m.octets
	takeVector(r, 1)
	local a, b = takeVector(r, 3)
	local entries = reader(s, a, b, {})
	for i = 1, LIMIT.members do
		if entries.pos >= entries.stop then return end
		local x, y = takeVector(entries, 3)
		local first = s:byte(x + 1)
		if meanings["certificate.cert_data"] and first and first ~= 48 and openCMW(s, x, y) then
			showPayload(tree, m, x, y, nil)
		elseif i == 1 then
			showCertificate(tree, m, x, y)
		end
		local u, v = takeVector(entries, 2)
		showExtensions(tree, m, u, v, message, sender)
	end
end

-- The algorithms of RFC 8879, and what Wireshark's versions call what undoes them: 4.0 has zlib alone.
local COMPRESSION = { { name = "zlib", "uncompress_zlib", "uncompress" }, { name = "brotli", "uncompress_brotli" },
	{ name = "zstd", "uncompress_zstd" } }

-- showCompressed shows a CompressedCertificate as the Certificate in it.
local function showCompressed(tree, m, r, sender)
	local algorithm, size = takeNumber(r, 2, "algorithm"), takeNumber(r, 3, "uncompressed_length")
	local from, to = takeVector(r, 3, "compressed_certificate_message")
	local how = COMPRESSION[algorithm] or { name = string.format("algorithm %d", algorithm) }
	local why = "this Wireshark cannot undo that"
	for _, method in ipairs(how) do
		local there, undo = pcall(function() return m.range[method] end)
		if there and undo and size <= LIMIT.message then
			local ok, range = pcall(undo, m.range(from, to - from), "Certificate")
			if ok and range and range:len() == size then
				local whole = { range = range, octets = range:raw(), sender = sender }
				showCertificates(tree, whole, reader(whole.octets, 0, #whole.octets, {}), "certificate", sender)
				return
			end
			why = "it does not unpack to the length that it says"
			break
		end
	end
	if size > LIMIT.message then why = "more octets than are read" end
	addText(tree, FIXED.error, m, 0, 1, string.format("a certificate compressed with %s, %d octets: %s", how.name, size, why))
end

local function showMessage(tree, m, stream, source)
	local s = m.octets
	local r = reader(s, 0, #s, {})
	local kind = takeNumber(r, 1)
	take(r, 3)
	local message = NAMED[kind]
	if kind == 1 then stream.client, stream.v13 = source, true end
	if kind == 2 and not stream.client then stream.client = false end
	local sender = "server"
	if kind == 1 or stream.client == source then sender = "client" end
	m.sender = sender
	if added[kind] then
		local name = added[kind]
		local heading = string.format("%s (%d), %d octets", printable(name), kind, #s - 4)
		local body = lookText("messages", name, "body")
		if not body then return end
		local item = showBody(tree, m, 4, #s, body, name, name, { message = name, sender = sender }, heading)
		addText(item, FIXED.message, m, 0, 1, name)
		addText(item, FIXED.sender, m, 0, 1, sender)
		return
	end
	if kind == 25 then showCompressed(tree, m, r, sender) end
	if not message then return end
	if kind == 1 then
		take(r, 2)
		local random = take(r, 32)
		for _, w in ipairs(wrapped) do
			if w.message == "client_hello" and w.field == "random" and w.offset + w.most <= 32 then
				addOctets(tree, ofSlot[w.slot].nonce, m, random + w.offset, random + w.offset + w.most)
			end
		end
		takeVector(r, 1)
		takeVector(r, 2)
		takeVector(r, 1)
	elseif kind == 2 then
		take(r, 2)
		local random = take(r, 32)
		if hex(s:sub(random + 1, random + 32)) == HELLO_RETRY then message = RETRY end
		takeVector(r, 1)
		take(r, 3)
	elseif kind == 4 then
		take(r, 8)
		takeVector(r, 1)
		takeVector(r, 2)
	elseif kind == 13 or kind == 17 then
		takeVector(r, 1)
	elseif kind == 11 then
		showCertificates(tree, m, r, message, sender)
		return
	end
	if r.pos == r.stop then return end
	local a, b = takeVector(r, 2, "extensions")
	showExtensions(tree, m, a, b, message, sender)
end

-- Exported authenticators (RFC 9261) ---------------------------------------------------

-- rules says how requests and authenticators travel in application data; nil: there are none.
local rules
if look("after", "authenticator") then
	rules = {}
	local f = look("after", "authenticator", "framing")
	if f and f.at and f.at.request then
		local function part(k) return f.at[k] and tonumber(f.at[k].text) end
		rules = { request = part("request"), answer = part("answer"), data = part("data"), width = part("length") or 4 }
	end
end

-- The messages of requests and authenticators.
local AUTHENTICATES = { [11] = true, [13] = true, [15] = true, [17] = true, [20] = true }

-- cutMessages takes whole messages off the front of s; the rest is what is not there yet, nil where something else is.
local function cutMessages(s, out)
	while #s >= 4 do
		local n = 4 + number(s, 1, 3)
		if not AUTHENTICATES[s:byte(1)] or n > LIMIT.message then return nil end
		if #s < n then return s end
		out[#out + 1] = s:sub(1, n)
		s = s:sub(n + 1)
	end
	return s
end

-- cutFrame takes a frame with a type and a length off the front; false where it is not whole.
local function cutFrame(way, out)
	local head = 1 + rules.width
	if #way.held < head then return false end
	local kind, n = way.held:byte(1), number(way.held, 1, rules.width)
	if kind == rules.data then
		way.skip = head + n
		return true
	end
	if kind ~= rules.request and kind ~= rules.answer or n > LIMIT.message then
		way.over = true
		return false
	end
	if #way.held < head + n then return false end
	cutMessages(way.held:sub(head + 1, head + n), out)
	way.held = way.held:sub(head + n + 1)
	return true
end

-- authenticators goes on with application data of one direction and returns the messages that
-- are whole now. Where application data without frames begins, it is over.
local function authenticators(way, octets)
	local out = {}
	if way.over then return out end
	way.held = way.held .. octets
	repeat
		if way.skip > 0 then
			local n = math.min(way.skip, #way.held)
			way.held, way.skip = way.held:sub(n + 1), way.skip - n
		end
		local more = way.skip == 0 and rules.width and cutFrame(way, out)
	until not more
	if not rules.width then
		way.held = cutMessages(way.held, out)
		way.over = way.held == nil
	end
	return out
end

-- The dissector -----------------------------------------------------------------------

local getHandshake = Field.new("tls.handshake")
local getAlert = Field.new("tls.alert_message.desc")
local getStream = Field.new("tcp.stream")
local getData = rules and Field.new("data.data") -- application data that no other dissector has taken

-- between finds messages that Wireshark does not know among those that it does: octets
-- of one buffer in front of, between and behind known messages.
local function between(source, from, to, out)
	for _ = 1, LIMIT.gap do
		if to - from < 4 then return end
		local head = source(from, 4):raw()
		local n = 4 + number(head, 1, 3)
		if not added[head:byte(1)] or n > to - from then return end
		out[#out + 1] = { range = source(from, n), octets = source(from, n):raw() }
		from = from + n
	end
end

local function messagesOf(infos)
	local out, seen = {}, {}
	local last
	for _, i in ipairs(infos) do
		local range = i.range
		local octets = range:len() >= 4 and range:raw() or ""
		local key = i.offset .. ":" .. octets
		if #octets >= 4 and not seen[key] then
			seen[key] = true
			local whole = i.source
			if last and last.source:len() == whole:len() and i.offset > last.stop then
				between(last.source, last.stop, i.offset, out)
			elseif last and last.source:len() ~= whole:len() then
				between(last.source, last.stop, last.source:len(), out)
			end
			local n = 4 + number(octets, 1, 3)
			if n <= #octets then
				out[#out + 1] = { range = range(0, n), octets = octets:sub(1, n) }
				last = { source = whole, stop = i.offset + n }
			end
		end
	end
	if last then between(last.source, last.stop, last.source:len(), out) end
	return out
end

-- laterOf returns the messages of authenticators that end in a frame, which is read in order once.
local function laterOf(stream, pinfo, source, data)
	stream.later = stream.later or {}
	local found = stream.later[pinfo.number]
	if found or #data == 0 or not stream.v13 then return found or {} end
	found = {}
	stream.ways = stream.ways or {}
	stream.ways[source] = stream.ways[source] or { held = "", skip = 0, over = false }
	for _, i in ipairs(data) do
		for _, octets in ipairs(authenticators(stream.ways[source], i.range:raw())) do found[#found + 1] = octets end
	end
	stream.later[pinfo.number] = found
	return found
end

local function dissect(tvb, pinfo, tree)
	local infos = { getHandshake() }
	local desc = { getAlert() }
	local data = getData and { getData() } or {}
	if #infos == 0 and #desc == 0 and #data == 0 then return end
	budget = LIMIT.items
	local number = getStream()
	number = number and number.value or -1
	streams[number] = streams[number] or {}
	local source = tostring(pinfo.src) .. " " .. tostring(pinfo.src_port)
	local top
	local function root()
		top = top or tree:add(attls, tvb(0, 0))
		return top
	end
	-- The tree is made when something is added to it.
	local lazy = { add = function(_, ...) return root():add(...) end }
	for _, m in ipairs(messagesOf(infos)) do
		local ok, err = pcall(showMessage, lazy, m, streams[number], source)
		if not ok then
			local why = type(err) == "table" and err.text or tostring(err)
			if m.octets:byte(1) ~= 1 or why:find("more fields") then
				pcall(function() root():add(FIXED.error, m.range, printable(why)) end)
			end
		end
	end
	for _, octets in ipairs(laterOf(streams[number], pinfo, source, data)) do
		local m = asMessage(octets, "message of an authenticator")
		local ok, err = pcall(showMessage, lazy, m, streams[number], source)
		if not ok then
			local why = type(err) == "table" and err.text or tostring(err)
			pcall(function() root():add(FIXED.error, m.range, printable(why)) end)
		end
	end
	for _, i in ipairs(desc) do
		local n = i.value
		if alerts[n] then
			lazy:add(FIXED.alert, i.range, n)
			pinfo.cols.info:append(" [" .. alerts[n] .. "]")
		end
	end
end

function attls.dissector(tvb, pinfo, tree)
	local ok, err = pcall(dissect, tvb, pinfo, tree)
	if not ok then
		local why = type(err) == "table" and err.text or tostring(err)
		pcall(function() tree:add(FIXED.error, tvb(0, 0), printable(why)) end)
	end
end

register_postdissector(attls)
