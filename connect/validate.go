package connect

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/transform"
	"github.com/weir/weir/internal/nearest"
)

// validation is what there is to say about a configuration.
type validation struct {
	Name    string       `json:"name"`
	Errors  int          `json:"error_count"`
	Groups  []string     `json:"groups"`
	Configs []optionInfo `json:"configs"`
}

type optionInfo struct {
	Definition *definition `json:"definition"` // nil: of an option that nobody knows
	Value      optionValue `json:"value"`
}

type definition struct {
	Name       string         `json:"name"`
	Type       sdk.Kind       `json:"type"`
	Required   bool           `json:"required"`
	Default    *string        `json:"default_value"`
	Importance sdk.Importance `json:"importance"`
	Doc        string         `json:"documentation"`
	Group      *string        `json:"group"`
	Order      int            `json:"order_in_group"`
	Width      string         `json:"width"`
	Display    string         `json:"display_name"`
	Dependents []string       `json:"dependents"`
}

type optionValue struct {
	Name        string   `json:"name"`
	Value       *string  `json:"value"`
	Recommended []string `json:"recommended_values"`
	Errors      []string `json:"errors"`
	Warnings    []string `json:"warnings,omitempty"` // what is no error; Kafka's workers have none
	Visible     bool     `json:"visible"`
}

// hiddenSecret is shown in place of a password.
const hiddenSecret = "[hidden]"

func define(o sdk.Option) *definition {
	d := &definition{
		Name: o.Name, Type: o.Kind, Required: o.Required, Importance: o.Importance, Doc: o.Doc, Order: -1,
		Width: o.Width, Display: o.Display, Dependents: slices.Clone(o.Dependents),
	}
	if o.Unsupported != "" && len(o.Accepts) == 0 {
		d.Doc = "Not supported: " + o.Unsupported + "."
	}
	if !o.Required && !o.NoDefault {
		d.Default = &o.Default
	}
	if o.Group != "" {
		d.Group, d.Order = &o.Group, o.Order
	}
	if d.Width == "" {
		d.Width = "NONE"
	}
	if d.Display == "" {
		d.Display = o.Name
	}
	if d.Dependents == nil {
		d.Dependents = []string{}
	}
	return d
}

// check tells all there is to say about some options, and adds it to the answer.
func (v *validation) check(options []sdk.Option, props map[string]string) (sdk.Values, bool) {
	values, wrong := sdk.Parse(options, props)
	for _, o := range options {
		if o.Internal {
			continue
		}
		info := optionInfo{define(o), optionValue{Name: o.Name, Recommended: []string{}, Errors: []string{}, Visible: o.Hidden == nil || !o.Hidden(values)}}
		if value, ok := values.Value(o.Name); ok {
			info.Value.Value = textOf(o.Kind, value)
		}
		if o.Recommended != nil {
			info.Value.Recommended = append(info.Value.Recommended, o.Recommended(values)...)
		}
		if o.Group != "" && !slices.Contains(v.Groups, o.Group) {
			v.Groups = append(v.Groups, o.Group)
		}
		v.Configs = append(v.Configs, info)
	}
	for _, w := range wrong {
		v.fault(w.Option, w.Error())
	}
	for _, idle := range values.Idle() {
		v.warn(idle.Option, idle.Error())
	}
	return values, len(wrong) == 0
}

// fault adds an error to an option.
func (v *validation) fault(option, text string) {
	v.Errors++
	for i := range v.Configs {
		if v.Configs[i].Value.Name == option {
			v.Configs[i].Value.Errors = append(v.Configs[i].Value.Errors, text)
			return
		}
	}
	v.Configs = append(v.Configs, optionInfo{nil, optionValue{Name: option, Recommended: []string{}, Errors: []string{text}, Visible: true}})
}

// warn adds to an option what is no error.
func (v *validation) warn(option, text string) {
	for i := range v.Configs {
		if value := &v.Configs[i].Value; value.Name == option {
			value.Warnings = append(value.Warnings, text)
		}
	}
}

// faultOnce adds an error to an option that has none.
func (v *validation) faultOnce(option, text string) {
	for _, c := range v.Configs {
		if c.Value.Name == option && len(c.Value.Errors) > 0 {
			return
		}
	}
	v.fault(option, text)
}

// unset takes back the value of an option that is not what it has to be.
func (v *validation) unset(option string) {
	for i := range v.Configs {
		if v.Configs[i].Value.Name == option {
			v.Configs[i].Value.Value = nil
		}
	}
}

// noDefault takes back what an option would be if it were not set.
func (v *validation) noDefault(option string) {
	for i := range v.Configs {
		if v.Configs[i].Value.Name == option {
			v.Configs[i].Definition.Default = nil
		}
	}
}

func textOf(kind sdk.Kind, value any) *string {
	var text string
	switch value := value.(type) {
	case []string:
		text = strings.Join(value, ",")
	case string:
		if text = value; kind == sdk.PasswordOption {
			text = hiddenSecret
		}
	default:
		text = fmt.Sprint(value)
	}
	return &text
}

// invalid words what is wrong with a value as Kafka does.
func invalid(option string, value any, why string) error {
	return fmt.Errorf("Invalid value %v for configuration %s: %s", value, option, why)
}

// pluginOf finds the connector that a configuration is for.
func (w *Worker) pluginOf(props map[string]string) (*plugin, error) {
	class, ok := props["connector.class"]
	if !ok || class == "" {
		return nil, failed(http.StatusBadRequest, "Connector config %s contains no connector type", javaText(w.withoutSecrets(props)))
	}
	p := w.plugins.find(class, sinkKind, sourceKind)
	if p == nil {
		return nil, failed(http.StatusBadRequest, "Failed to find any class that implements Connector and which name matches %s, available connectors are: %s",
			class, strings.Join(w.plugins.classes(sinkKind, sourceKind), ", "))
	}
	return p, nil
}

// withoutSecrets hides the values of options that may be passwords, of a connector that is not known.
func (w *Worker) withoutSecrets(props map[string]string) map[string]string {
	out := maps.Clone(props)
	for name := range out {
		if strings.Contains(name, "password") || strings.Contains(name, "secret") {
			out[name] = hiddenSecret
		}
	}
	return out
}

// optionsOf gives the options that a connector has in common with others of its kind.
func (w *Worker) optionsOf(p *plugin) []sdk.Option {
	options := slices.Concat(commonOptions, sourceOptions)
	if p.kind == sinkKind {
		options = slices.Concat(commonOptions, sinkOptions)
	}
	for i := range options {
		o := &options[i]
		switch o.Name {
		case "name":
			o.Check = checkName
		case "connector.plugin.version":
			o.Default, o.NoDefault = p.version, false
			o.Recommended = func(sdk.Values) []string { return []string{p.version} }
		case "tasks.max":
			o.Check = func(_ sdk.Values, v any) error {
				if n, _ := v.(int64); n < 1 {
					return invalid("tasks.max", v, "Value must be at least 1")
				}
				return nil
			}
		case "config.action.reload":
			o.Check = oneOf(o.Name, "none", "restart")
		case "errors.tolerance":
			o.Check = oneOf(o.Name, "none", "all")
		case "exactly.once.support":
			o.Check = oneOf(o.Name, "requested", "required")
		case "transaction.boundary":
			o.Check = oneOf(o.Name, "poll", "interval", "connector")
		case "transforms", "predicates", "topic.creation.groups":
			o.Check = checkAliases(o.Name)
		case "key.converter", "value.converter", "header.converter":
			o.Default = w.converterOf(p, o.Name)
			kind := converterKind
			if o.Name == "header.converter" {
				kind = headerConverterKind
			}
			o.Recommended = func(sdk.Values) []string { return w.plugins.classes(kind) }
		}
		if converter, ok := strings.CutSuffix(o.Name, ".plugin.version"); ok && converter != "connector" {
			w.converterVersion(o, converter)
		}
	}
	return options
}

// converterVersion completes the option for a converter's version, of which there is one.
func (w *Worker) converterVersion(o *sdk.Option, converter string) {
	of := func(v sdk.Values) *plugin {
		if !v.Has(converter) {
			return w.plugins.find(w.defaultConverter(converter), converterKind, headerConverterKind)
		}
		return w.plugins.find(v.String(converter), converterKind, headerConverterKind)
	}
	if p := w.plugins.find(w.defaultConverter(converter), converterKind, headerConverterKind); p != nil {
		o.Default, o.NoDefault = p.version, false
	}
	o.Recommended = func(v sdk.Values) []string {
		if p := of(v); p != nil {
			return []string{p.version}
		}
		return nil
	}
	o.Hidden = func(v sdk.Values) bool { return of(v) == nil }
}

func checkName(_ sdk.Values, v any) error {
	name, _ := v.(string)
	if name == "" {
		return invalid("name", name, "String may not be empty")
	}
	var control []string
	for _, c := range name {
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			control = append(control, strconv.Itoa(int(c)))
		}
	}
	if len(control) > 0 {
		return invalid("name", name, "String may not contain control sequences but had the following ASCII chars: "+strings.Join(control, ", "))
	}
	return nil
}

func oneOf(option string, values ...string) func(sdk.Values, any) error {
	return func(_ sdk.Values, v any) error {
		if s, _ := v.(string); !slices.Contains(values, s) {
			return invalid(option, s, "String must be one of: "+strings.Join(values, ", "))
		}
		return nil
	}
}

func checkAliases(option string) func(sdk.Values, any) error {
	return func(_ sdk.Values, v any) error {
		list, _ := v.([]string)
		for i, alias := range list {
			if slices.Contains(list[:i], alias) {
				return invalid(option, "["+strings.Join(list, ", ")+"]", "Duplicate alias provided.")
			}
		}
		return nil
	}
}

// validate checks a configuration, and with the connector's help what it speaks of. props may have names of secrets in them; those are
// looked up for the connector and never told.
func (w *Worker) validate(ctx context.Context, config map[string]string) (*validation, error) {
	p, err := w.pluginOf(config)
	if err != nil {
		return nil, err
	}
	v := &validation{Name: config["connector.class"], Groups: []string{}, Configs: []optionInfo{}}
	props, err := w.engine.Resolve(config)
	if err != nil {
		v.fault(unresolved(config), err.Error())
		return v, nil
	}
	if p.class == "" {
		panic("BUG: a plugin without a class")
	}
	common, _ := v.check(w.optionsOf(p), props)
	v.checkCommon(common, props)
	for _, option := range []string{"key.converter", "value.converter", "header.converter"} {
		if found := w.checkClass(v, option, w.converterOf(p, option), props, converterKind, headerConverterKind); found == nil {
			v.unset(option + ".plugin.version")
			v.noDefault(option + ".plugin.version")
		}
	}
	if p.kind == sinkKind {
		v.checkTopics(common)
	}
	w.checkAliased(v, props, "transforms", "Transforms", "Transformation", transformKind)
	w.checkAliased(v, props, "predicates", "Predicates", "Predicate", predicateKind)
	if _, wrong := transform.New(props); len(wrong) > 0 {
		for _, e := range wrong {
			v.faultOnce(e.Option, e.Error())
		}
	}
	before := v.Errors
	own, ok := v.check(p.options, props)
	if validator, is := p.connector.(sdk.Validator); is && ok && before == v.Errors {
		for _, wrong := range validator.Validate(ctx, own) {
			v.fault(wrong.Option, wrong.Error())
		}
	}
	for _, option := range []string{"key.converter", "value.converter", "header.converter"} {
		w.checkConverter(v, option, props)
	}
	w.checkUnknown(v, p, config)
	v.hideResolved(config, props)
	return v, nil
}

// unresolved names the first option that refers to something outside.
func unresolved(config map[string]string) string {
	for _, name := range slices.Sorted(maps.Keys(config)) {
		if strings.Contains(config[name], "${") {
			return name
		}
	}
	return "name"
}

// hideResolved shows, for options that refer to something outside, the reference and not what is there.
func (v *validation) hideResolved(config, props map[string]string) {
	for i := range v.Configs {
		value := &v.Configs[i].Value
		raw, ok := config[value.Name]
		if !ok || raw == props[value.Name] {
			continue
		}
		if value.Value != nil {
			value.Value = &raw
		}
		if secret := props[value.Name]; secret != "" {
			for j := range value.Errors {
				value.Errors[j] = strings.ReplaceAll(value.Errors[j], secret, raw)
			}
		}
	}
}

func (v *validation) checkCommon(common sdk.Values, props map[string]string) {
	if _, set := props["tasks.max"]; set {
		if _, ok := common.Value("tasks.max"); !ok {
			v.fault("tasks.max", "Invalid value null for configuration tasks.max: Value must be non-null")
		}
	}
	if common.String("exactly.once.support") == "required" {
		v.fault("exactly.once.support", "This worker does not have exactly-once source support enabled.")
	}
}

// checkTopics wants a sink to have topics, one way or the other.
func (v *validation) checkTopics(common sdk.Values) {
	topics, regex := common.List("topics"), common.String("topics.regex")
	both := func(text string) {
		v.fault("topics", text)
		v.fault("topics.regex", text)
	}
	switch {
	case len(topics) > 0 && regex != "":
		both("topics and topics.regex are mutually exclusive options, but both are set.")
	case len(topics) == 0 && regex == "":
		both("Must configure one of topics or topics.regex")
	}
	if dlq := common.String("errors.deadletterqueue.topic.name"); dlq != "" && slices.Contains(topics, dlq) {
		v.fault("topics", fmt.Sprintf("The DLQ topic '%s' may not be included in the list of topics ('topics=[%s]') consumed by the connector", dlq, strings.Join(topics, ", ")))
	}
}

// checkClass finds the plugin that an option names; nil: it names none that is there.
func (w *Worker) checkClass(v *validation, option, fallback string, props map[string]string, kinds ...string) *plugin {
	name, set := props[option]
	if !set {
		name = fallback
	}
	p := w.plugins.find(strings.TrimSpace(name), kinds...)
	if p == nil {
		v.unset(option)
		v.fault(option, invalid(option, name, "Class "+name+" could not be found.").Error())
		return nil
	}
	for i := range v.Configs {
		if value := &v.Configs[i].Value; value.Name == option {
			value.Value = &p.class
		}
	}
	return p
}

// checkAliased checks the options of transforms or predicates: of each alias that the list names.
func (w *Worker) checkAliased(v *validation, props map[string]string, list, group, what, kind string) {
	var done []string
	for _, alias := range strings.Split(props[list], ",") {
		alias = strings.TrimSpace(alias)
		if alias == "" || slices.Contains(done, alias) {
			continue
		}
		done = append(done, alias)
		prefix := list + "." + alias + "."
		p := w.plugins.find(strings.TrimSpace(props[prefix+"type"]), kind)
		options := []sdk.Option{
			{Name: "type", Kind: sdk.ClassOption, Required: true, Importance: sdk.High, Width: "LONG", Display: what + " type for " + alias, Doc: "Class for the '" + alias + "' " + strings.ToLower(what) + ".",
				Recommended: func(sdk.Values) []string { return w.plugins.classes(kind) }},
			{Name: "plugin.version", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.High, Width: "LONG", Display: what + " version for " + alias, Doc: "Version of the '" + alias + "' " + strings.ToLower(what) + "."},
		}
		if p != nil {
			options[1].Default, options[1].NoDefault = p.version, false
			options[1].Recommended = func(sdk.Values) []string { return []string{p.version} }
			options = append(options, p.options...)
			if kind == transformKind {
				options = append(options,
					sdk.Option{Name: "negate", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Medium, Doc: "Whether the configured predicate should be negated."},
					sdk.Option{Name: "predicate", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Medium, Doc: "The alias of a predicate used to determine whether to apply this transformation."})
			}
		}
		for i := range options {
			o := &options[i]
			if o.Display == "" {
				o.Display = o.Name
			}
			o.Name, o.Group, o.Order = prefix+o.Name, group+": "+alias, i
		}
		v.check(options, props)
		if name, set := props[prefix+"type"]; set && p == nil {
			v.unset(prefix + "type")
			v.fault(prefix+"type", invalid(prefix+"type", name, "Class "+name+" could not be found.").Error())
		}
	}
}

// checkConverter checks the options of a converter that the connector has for itself.
func (w *Worker) checkConverter(v *validation, option string, props map[string]string) {
	name, set := props[option]
	kind := converterKind
	if option == "header.converter" {
		kind = headerConverterKind
	}
	p := w.plugins.find(strings.TrimSpace(name), kind)
	if !set || p == nil {
		return
	}
	byName := map[string]sdk.Option{}
	var names []string
	for _, o := range p.options {
		names = append(names, o.Name)
		byName[o.Name] = o
	}
	own := maps.Clone(props)
	use := strings.TrimSuffix(option, ".converter")
	if _, set := own[option+".converter.type"]; !set {
		own[option+".converter.type"] = use
	}
	var options []sdk.Option
	for _, name := range inHashOrder(names, 0) {
		o := byName[name]
		if o.Display == "" {
			o.Display = name
		}
		o.Name = option + "." + name
		options = append(options, o)
	}
	v.check(options, own)
}

// prefixes begin options that belong to something else than the connector.
var prefixes = []string{
	"key.converter.", "value.converter.", "header.converter.", "transforms.", "predicates.", "topic.creation.",
	"producer.override.", "consumer.override.", "admin.override.", "config.providers",
}

// checkUnknown names options that nobody knows: most are mistyped, and would do nothing.
func (w *Worker) checkUnknown(v *validation, p *plugin, config map[string]string) {
	var known []string
	for _, o := range slices.Concat(w.optionsOf(p), p.options) {
		known = append(known, o.Name)
	}
	patterned, _ := p.connector.(sdk.Patterned)
	for _, name := range slices.Sorted(maps.Keys(config)) {
		if patterned != nil && patterned.HasOption(name) || slices.Contains(known, name) || slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			continue
		}
		text := "Configuration is not defined: " + name
		if near, ok := nearest.Name(name, known); ok {
			text += ": did you mean " + near + "?"
		}
		v.fault(name, text)
	}
}

// refuse makes an error of a configuration that is wrong; nil: it is right.
func (v *validation) refuse() error {
	if v.Errors == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Connector configuration is invalid and contains the following %d error(s):", v.Errors)
	for _, c := range v.Configs {
		for _, e := range c.Value.Errors {
			b.WriteString("\n" + e)
		}
	}
	b.WriteString("\nYou can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`")
	return failed(http.StatusBadRequest, "%s", b.String())
}
