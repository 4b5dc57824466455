/** An invoice's own words. */
export interface Wording {
  /** A BCP 47 tag, for screen readers. */
  readonly language: string
  readonly invoice: string
  readonly orderNumber: string
  readonly date: string
  readonly billedTo: string
  readonly items: string
  readonly description: string
  readonly quantity: string
  readonly unitPrice: string
  readonly amount: string
  readonly total: string
  readonly page: (page: string, pages: string) => string
}

const english: Wording = {
  language: "en",
  invoice: "Invoice",
  orderNumber: "Order",
  date: "Date",
  billedTo: "Billed to",
  items: "Items",
  description: "Description",
  quantity: "Quantity",
  unitPrice: "Unit price",
  amount: "Amount",
  total: "Total",
  page: (page, pages) => `Page ${page} of ${pages}`
}

const german: Wording = {
  language: "de",
  invoice: "Rechnung",
  orderNumber: "Bestellung",
  date: "Datum",
  billedTo: "Rechnung an",
  items: "Positionen",
  description: "Beschreibung",
  quantity: "Menge",
  unitPrice: "Einzelpreis",
  amount: "Betrag",
  total: "Gesamtbetrag",
  page: (page, pages) => `Seite ${page} von ${pages}`
}

const french: Wording = {
  language: "fr",
  invoice: "Facture",
  orderNumber: "Commande",
  date: "Date",
  billedTo: "Facturé à",
  items: "Articles",
  description: "Désignation",
  quantity: "Quantité",
  unitPrice: "Prix unitaire",
  amount: "Montant",
  total: "Total",
  page: (page, pages) => `Page ${page} sur ${pages}`
}

const wordings = [english, german, french]

/** The words for a locale. English if there is no translation. */
export const wordingOf = (locale: string): Wording =>
  wordings.find(({ language }) => language === new Intl.Locale(locale).language) ?? english
