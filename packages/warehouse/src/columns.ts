// A column of a table of the warehouse, as the server describes it.

export interface WarehouseColumn {
  readonly name: string
  /** ClickHouse type. */
  readonly type: string
}
