// What a query may be made of, as the parser names it. Anything else is refused: a construct that nobody thought of
// must be added here on purpose, with a query in test/good-queries.json.

/** Keys of the syntax tree that are understood. */
export const knownKeys: ReadonlySet<string> = new Set(
  (
    'abs add aggregate_function alias alias_explicit_as alias_first alias_keyword all and args array_func avg between ' +
    'body boolean bracket_notation case cast ceil coalesce column combined_parameterized_agg condition count count_if ' +
    'ctes data_type desc distinct div double_colon_syntax dot else_ end eq except explicit_asc expression expressions ' +
    'false_value field floor frame from function group_by gt gte having high i_like identifier if_func in index ' +
    'intersect interval is_field is_null joins kind kind_text lambda left length like limit limit_by literal ' +
    'literal_type low lower lt lte max min mod mul name neg neq nesting_group not offset on or order_by original_name ' +
    'over parameter parameters params paren partition_by prewhere quoted query right select span star start ' +
    'start_side_text end_side_text Preceding Following CurrentRow style sub subquery subscript substring sum table this ' +
    'to totals true_value tuple type union unit upper using value whens where_clause window_function with nulls_first ' +
    'global replace concat round trim stddev variance first last any_value row_number rank dense_rank lag lead'
  ).split(' ')
)

/** Functions that reach beyond the rows of the query: other tables, the server, files, the network, its settings. */
const refusedFunctions: readonly RegExp[] = [
  /^(?:dict|joinget|remote|cluster|file|url|s3|hdfs|azure|gcs|mysql|postgresql|mongodb|redis|odbc|jdbc|sqlite|executable|input|merge|loop|view|viewexplain|values|generate|zookeeper|kafka|nats|iceberg|deltalake|hudi|fuzz)/i,
  /^(?:getsetting|getserversetting|getmacro|getos|currentuser|user|currentdatabase|currentschemas|currentroles|currentprofiles|enabledroles|enabledprofiles|defaultroles|defaultprofiles)/i,
  /^(?:hostname|fqdn|version|uptime|buildid|tcpport|servertimezone|serveruuid|displayname|shardnum|shardcount|connectionid|queryid|initialqueryid|initialquerystarttime|getclienthttpheader|timezoneof$)/i,
  /^(?:hascolumnintable|filesystem|catboostevaluate|evalmlmethod|naivebayes|sleep|sleepeachrow|throwif|logtrace|nativequery|partitionid|blocknumber|runningdifference|structuretocapnp|structuretoprotobuf)/i,
  /^(?:addresstoline|addresstosymbol|demangle|trap|getthreadid|mergetree|transactionid|transactionlatest|transactionoldest|getsubcolumn|showcertificate|encrypt|decrypt|trydecrypt|aes_)/i,
  // IN as a function reads an identifier on its right as a table.
  /^(?:in|notin|globalin|globalnotin|nullin|notnullin|globalnullin|globalnotnullin|inignoreset|notinignoreset)$/i
]

/** Whether a function of this name may be called on values. */
export function isAllowedFunction(name: string): boolean {
  return !refusedFunctions.some((pattern) => pattern.test(name))
}

/** Tables that a query may read. */
export const readableTables: ReadonlySet<string> = new Set(['events', 'events_fresh', 'sessions'])

/** Table functions that a query may read from. */
export const readableTableFunctions: ReadonlySet<string> = new Set(['numbers'])
