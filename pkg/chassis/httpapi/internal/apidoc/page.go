package apidoc

import (
	"cmp"
	_ "embed" // for the page
	"fmt"
	"html/template"
	"io"
	"net/url"
	"slices"
	"strings"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"prose": prose, "lower": strings.ToLower}).Parse(pageHTML))

// WritePage writes the page for people. Its examples ask the service at base, a URL without a path.
func (d *Document) WritePage(w io.Writer, base string) error {
	return pageTemplate.Execute(w, struct {
		page
		Base string
	}{d.page, base})
}

// What the template shows.
type (
	page struct {
		Title, Summary, Description string
		Groups                      []group
		Problem                     *field // what every error looks like
	}
	group struct {
		Name, Description string
		Operations        []shownOperation
	}
	shownOperation struct {
		ID, Method, Path, Summary, Description string
		Access                                 []string // what lets one in
		Parameters                             []field
		Body                                   *shownContent
		Answers                                []answer
		Call                                   call
	}
	answer struct {
		Status, Description string
		Good                bool
		Headers             []field
		Body                *shownContent
	}
	shownContent struct {
		Type    string
		Schema  field
		Example string
	}
	// field is a parameter, a header or a part of a body.
	field struct {
		Name, Where, Type string
		Required          bool
		Limits            string
		Description       string
		Fields            []field
	}
	// call is a request to try, for curl.
	call struct {
		Method, Path string // method is empty for GET
		Headers      []string
		Body         string
	}
)

func (r *root) page() page {
	p := page{Title: r.Info.Title, Summary: r.Info.Summary, Description: r.Info.Description}
	for _, tag := range r.Tags {
		g := group{Name: tag.Name, Description: tag.Description}
		for _, path := range r.Paths {
			for _, method := range path.value {
				if slices.Contains(method.value.Tags, tag.Name) {
					g.Operations = append(g.Operations, r.showOperation(path.key, method.key, method.value))
				}
			}
		}
		p.Groups = append(p.Groups, g)
	}
	if problem, ok := r.Components.Schemas[problemSchema]; ok {
		shown := r.show("", problem, 0)
		p.Problem = &shown
	}
	return p
}

// problemSchema is shown once; an answer that refers to it shows only what it says beside.
const problemSchema = "Problem"

func (r *root) showOperation(path, method string, op operation) shownOperation {
	shown := shownOperation{
		ID: op.ID, Method: strings.ToUpper(method), Path: path, Summary: op.Summary, Description: op.Description,
		Call: call{Path: path},
	}
	if shown.Method != "GET" {
		shown.Call.Method = shown.Method
	}
	for _, needed := range op.Security {
		for name := range needed {
			scheme := r.Components.SecuritySchemes[name]
			header, value := "Authorization", "Bearer $OPS_TOKEN"
			if scheme.Type == "apiKey" {
				header, value = scheme.Name, "…"
			}
			shown.Access = append(shown.Access, fmt.Sprintf("`%s: %s` %s", header, value, scheme.Description))
			shown.Call.Headers = append(shown.Call.Headers, header+": "+value)
		}
	}
	for _, p := range op.Parameters {
		p = r.parameter(p)
		f := r.show(p.Name, p.Schema, 0)
		f.Where, f.Required, f.Description = p.In, p.Required, cmp.Or(p.Description, f.Description)
		shown.Parameters = append(shown.Parameters, f)
		switch value := fmt.Sprint(p.Example); {
		case p.Example == nil:
		case p.In == "path":
			shown.Call.Path = strings.ReplaceAll(shown.Call.Path, "{"+p.Name+"}", url.PathEscape(value))
		case p.In == "header" && p.Required:
			shown.Call.Headers = append(shown.Call.Headers, p.Name+": "+value)
		}
	}
	if shown.Body = r.showContent(op.RequestBody.Content); shown.Body != nil {
		shown.Call.Headers = append(shown.Call.Headers, "Content-Type: "+shown.Body.Type)
		shown.Call.Body = shown.Body.Example
	}
	for _, status := range op.Responses {
		response := r.response(status.value)
		a := answer{
			Status: status.key, Description: response.Description, Good: strings.HasPrefix(status.key, "2"),
			Body: r.showContent(response.Content),
		}
		for _, h := range response.Headers {
			header := r.header(h.value)
			f := r.show(h.key, header.Schema, 0)
			f.Required, f.Description = header.Required, header.Description
			a.Headers = append(a.Headers, f)
		}
		shown.Answers = append(shown.Answers, a)
	}
	return shown
}

func (r *root) showContent(c ordered[content]) *shownContent {
	if len(c) == 0 {
		return nil
	}
	first := c[0]
	s := first.value.Schema
	if component(s.Ref) == problemSchema {
		s.Ref = ""
	}
	return &shownContent{Type: first.key, Schema: r.show("", s, 0), Example: string(first.value.Example)}
}

// show describes a schema and what it is made of. Nesting that is deeper than anybody reads is cut off, which also ends
// schemas that contain themselves.
func (r *root) show(name string, s schema, depth int) field {
	s = r.resolve(s)
	f := field{Name: name, Type: s.Type, Description: s.Description}
	if s.Format != "" {
		f.Type = s.Format
	}
	limits, inner := s.limits(), s
	if s.Items != nil {
		inner = r.resolve(*s.Items)
		f.Type = "list"
		if inner.Type != "object" && inner.Type != "" {
			f.Type += " of " + cmp.Or(inner.Format, inner.Type)
		}
		limits = append(limits, inner.limits()...)
	}
	if s.Values != nil {
		limits = append(limits, s.Values.limits()...)
	}
	f.Limits = strings.Join(limits, " · ")
	if depth > 8 {
		return f
	}
	for _, p := range inner.Properties {
		child := r.show(p.key, p.value, depth+1)
		child.Required = slices.Contains(inner.Required, p.key)
		f.Fields = append(f.Fields, child)
	}
	return f
}

// limits says what a value has to keep to.
func (s schema) limits() (limits []string) {
	add := func(format string, args ...any) { limits = append(limits, fmt.Sprintf(format, args...)) }
	between := func(what string, least, most *int) {
		switch {
		case least != nil && *least == 1 && most == nil && what != "":
			add("not empty")
		case least != nil && most != nil:
			add("%d to %d%s", *least, *most, what)
		case least != nil:
			add("at least %d%s", *least, what)
		case most != nil:
			add("at most %d%s", *most, what)
		}
	}
	if s.Const != nil {
		add("always `%v`", s.Const)
	}
	if len(s.Enum) > 0 {
		add("one of %s", list(s.Enum))
	}
	between("", s.Minimum, s.Maximum)
	between(" characters", s.MinLength, s.MaxLength)
	between(" items", s.MinItems, s.MaxItems)
	if s.Pattern != "" {
		add("matches `%s`", s.Pattern)
	}
	if s.Default != nil {
		add("`%v` unless given", s.Default)
	}
	return limits
}

func list(values []any) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprintf("`%v`", v)
	}
	return strings.Join(words, ", ")
}

// prose turns a description into HTML: paragraphs, and code between backticks.
func prose(text string) template.HTML {
	var html strings.Builder
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if paragraph == "" {
			continue
		}
		html.WriteString("<p>" + inline(paragraph) + "</p>")
	}
	return template.HTML(html.String())
}

func inline(text string) string {
	parts := strings.Split(text, "`")
	for i := range parts {
		parts[i] = template.HTMLEscapeString(parts[i])
		if i%2 == 1 && i < len(parts)-1 {
			parts[i] = "<code>" + parts[i] + "</code>"
		}
	}
	return strings.Join(parts, "")
}
